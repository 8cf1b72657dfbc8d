// The limit: a bare loop of better-sqlite3 over the very table that Millrace makes, with the same indexes and durability.
// Prepared statements, one transaction per turn (settle the last 500, claim the next), and no queue logic at all.
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { connect } from 'millrace'
import { BATCH, type Input, type Peer, type Queue } from '../subject.js'
import { versionOf } from '../versions.js'

const DAY = 86_400_000

export const bare: Peer = {
  name: 'bare',
  product: `bare loop of better-sqlite3 ${versionOf('better-sqlite3')}`,
  durability: 'full',
  cases: ['bulk-enqueue', 'drain'],
  latency: { jobs: 0, longestPause: 0 },
  open,
}

async function open(folder: string): Promise<Queue> {
  const file = join(folder, 'bare.db')
  // Millrace makes the schema, so that the indexes are the same for ever. It has closed the file before we open it.
  await (await connect(`sqlite:${file}`)).close()
  const db = new Database(file)
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  const insert = db.prepare(
    `INSERT INTO millrace_jobs (id, queue, name, state, priority, due_at, body, headers, enqueued_at, keep_completed, keep_dead)
     VALUES (?, 'default', 'bench.measured', 'ready', 4, ?, ?, '{}', ?, ${DAY}, ${30 * DAY})`,
  )
  const claim = db.prepare(
    `UPDATE millrace_jobs SET state = 'active', run = run + 1, worker = 'bare', started_at = ?
     WHERE seq IN (SELECT seq FROM millrace_jobs WHERE queue = 'default' AND state = 'ready' AND suspect = 0
       ORDER BY priority DESC, due_at, seq LIMIT ${BATCH})
     RETURNING seq, body`,
  )
  const settle = db.prepare(
    `UPDATE millrace_jobs SET state = 'completed', attempts = attempts + 1, result = ?, finished_at = ?, prune_at = ?, worker = NULL
     WHERE seq = ? AND state = 'active'`,
  )
  let enqueued = 0
  const add = db.transaction((inputs: readonly Input[]) => {
    const now = Date.now()
    for (const input of inputs) enqueued += insert.run(idOf(now, enqueued), now, JSON.stringify(input), now).changes
  })
  type Claimed = { seq: number; body: string }
  const settleAndClaim = db.transaction((done: readonly { seq: number; result: string }[]): Claimed[] => {
    const now = Date.now()
    for (const { seq, result } of done) settle.run(result, now, now + DAY, seq)
    return claim.all(now) as Claimed[]
  })

  return {
    enqueue: () => Promise.reject(new Error('The bare loop is no peer for single enqueues.')),
    enqueueMany: (inputs) => Promise.resolve(add.immediate(inputs)),
    work({ onStart }) {
      let stopping = false
      async function loop(): Promise<void> {
        let done: { seq: number; result: string }[] = []
        for (;;) {
          const claimed = settleAndClaim.immediate(done)
          done = claimed.map(({ seq, body }) => {
            const input = JSON.parse(body) as Input
            onStart(input, 'measured')
            return { seq, result: JSON.stringify(input.n) }
          })
          if (stopping && done.length === 0) return
          await turn()
        }
      }
      const ended = loop()
      return Promise.resolve({
        stop() {
          stopping = true
          return ended
        },
      })
    },
    count() {
      const of = (where: string) =>
        db.prepare(`SELECT count(*) FROM millrace_jobs WHERE ${where}`).pluck().get() as number
      const [completed, dead] = [of(`state = 'completed'`), of(`state = 'dead'`)]
      return Promise.resolve({ enqueued, completed, dead, waiting: of('1') - completed - dead })
    },
    close: () => Promise.resolve(void db.close()),
  }
}

/** As long and as ordered as the ids of Millrace (UUIDv7): at random they would cost the index more. */
function idOf(now: number, n: number): string {
  return `${now.toString(16).padStart(12, '0')}-${n.toString(16).padStart(23, '0')}`
}
