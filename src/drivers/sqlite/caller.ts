// The caller's own database handle, for `{ tx }`: is it one of ours, and an operation inside its transaction.
import { ConfigurationError } from '../../core/errors.js'
import { isBusy, lockedTooLong, translate } from './commits.js'
import { dbOf, isSameFile, type Db, type Row, type SqliteConstructor, type SqliteHandle } from './engine.js'

interface Own {
  readonly engine: SqliteConstructor
  readonly path: string
  readonly file: string
}

/** Run inside the caller's transaction, now. @throws ConfigurationError for a handle that is none of ours */
export function inCallersTransaction<T>(handle: SqliteHandle, own: Own, operation: (db: Db) => T): T {
  const caller = sameDatabase(handle, own)
  try {
    return savepoint(caller, operation)
  } catch (error) {
    throw isBusy(error) ? lockedTooLong(own.file, 0, error) : translate(error, own.file)
  }
}

// A savepoint works inside the caller's transaction and outside of one, and undoes all of a half-done operation.
function savepoint<T>(handle: SqliteHandle, operation: (db: Db) => T): T {
  const db = dbOf(handle)
  db.exec('SAVEPOINT millrace')
  try {
    const result = operation(db)
    db.exec('RELEASE millrace')
    return result
  } catch (error) {
    db.exec('ROLLBACK TO millrace')
    db.exec('RELEASE millrace')
    throw error
  }
}

/**
 * The caller's handle, if it is one of our library and file.
 * @throws ConfigurationError otherwise.
 */
function sameDatabase(handle: SqliteHandle, own: Own): SqliteHandle {
  if (!(handle instanceof own.engine))
    throw new ConfigurationError(
      `{ tx } is no database of this driver's SQLite library (${own.engine.name}). Create the driver with the class your code uses: sqlite({ file, engine: Database }).`,
    )
  const main = handle
    .prepare('PRAGMA database_list')
    .all()
    .find((row) => (row as Row)['name'] === 'main') as Row | undefined
  const opened = String(main?.['file'] ?? '')
  if (!isSameFile(opened, own.path))
    throw new ConfigurationError(
      `{ tx } has ${opened || 'a database in memory'} open, but the jobs are in ${own.file}. Open the same file.`,
    )
  const { inTransaction, isTransaction } = handle as { inTransaction?: boolean; isTransaction?: boolean }
  if ((inTransaction ?? isTransaction) === false)
    throw new ConfigurationError(
      '{ tx } has no open transaction, so the job could not belong to it. Begin one first, and enqueue before it ends.',
    )
  return handle
}
