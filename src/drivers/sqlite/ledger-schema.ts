// A file whose jobs another broker moves: how it is marked, and what keeps its account of jobs that are to be handed over.
import { ConfigurationError } from '../../core/errors.js'
import { heldQueue } from '../../driver/leaving.js'
import type { Db } from './engine.js'
import type { Tables } from './migrations.js'

/** Whether the file is the store of a broker. */
export function isLedger(db: Db, t: Tables): boolean {
  return db.get(`SELECT 1 FROM ${t.meta} WHERE key = 'ledger'`) !== undefined
}

/**
 * Make the file the store of a broker. What waits in it, unless it is held, is to be handed to the broker. Must run inside a write transaction,
 * after `migrate`. Idempotent.
 */
export function markLedger(db: Db, t: Tables): void {
  if (isLedger(db, t)) return
  db.exec(`
    INSERT INTO ${t.meta} (key, value) VALUES ('ledger', 1);
    UPDATE ${t.jobs} SET hand_at = due_at WHERE state IN ('ready', 'scheduled') AND queue NOT LIKE '${heldQueue('%')}';
  `)
}

/**
 * For statements that make a job wait anew: when it is to be handed to the broker, if there is one. The file says so, so that
 * this also holds for an operator who opened the file alone. The ticket grows, so that whatever is on its way of the earlier
 * handing, messages and reports, is stale. (Triggers would do it in one place, but with them SQLite keeps a copy of each page
 * that a statement changes, for every statement: that made an ack cost twice as much.)
 */
export const handAnew = (t: Tables, due: string) =>
  `ticket = ticket + 1, hand_at = CASE WHEN EXISTS (SELECT 1 FROM ${t.meta} WHERE key = 'ledger') THEN ${due} END`

/** @throws ConfigurationError unless the file is marked. */
export function checkMarked(db: Db, t: Tables, file: string): void {
  if (!isLedger(db, t))
    throw new ConfigurationError(
      `${file} is not yet the store of a broker, and \`migrate\` is false. Run \`millrace setup\` with the broker and the store first.`,
    )
}

/** @throws ConfigurationError where jobs are not handed over by the file itself. */
export function checkHandsOver(db: Db, t: Tables, o: { readonly file: string; readonly ledger: boolean }): void {
  if (o.ledger)
    throw new ConfigurationError(
      `${o.file} keeps the books of a broker: take jobs from that broker, not from the file.`,
    )
  if (isLedger(db, t))
    throw new ConfigurationError(
      `${o.file} is the store of a broker, which hands over its jobs: connect with both. Looking at jobs needs the file only.`,
    )
}
