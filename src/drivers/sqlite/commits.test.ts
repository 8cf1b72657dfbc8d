// Which transactions wait for the disk. What a power cut takes cannot be tried here; the mode in which SQLite writes can.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCommits } from './commits.js'
import { dbOf, defaultEngine, type Db } from './engine.js'

const [NORMAL, FULL] = [1, 2]
const UNSYNCED = { synced: false }
const modeOf = (db: Db) => Number(db.get('PRAGMA synchronous')?.['synchronous'])

describe('commits', () => {
  let folder: string
  let db: Db
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-commits-'))
    db = dbOf(new (defaultEngine())(join(folder, 'jobs.db')))
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (n INTEGER)')
  })
  afterEach(() => {
    db.close()
    rmSync(folder, { recursive: true })
  })
  const commits = (full = true) => createCommits({ db: () => db, file: 'jobs.db', timeout: () => 1000, full })

  it('wait for the disk unless none of their operations needs it', async () => {
    const { write } = commits()
    expect(await write(modeOf)).toBe(FULL)
    expect(await write(modeOf, 1, UNSYNCED)).toBe(NORMAL)
    expect(modeOf(db)).toBe(FULL)
    expect(await Promise.all([write(modeOf, 1, UNSYNCED), write(modeOf)])).toEqual([FULL, FULL])
    expect(await Promise.all([write(modeOf, 1, UNSYNCED), write(modeOf, 1, UNSYNCED)])).toEqual([NORMAL, NORMAL])
    expect(modeOf(db)).toBe(FULL)
  })

  it('wait again after an operation that failed, and keep what was written beside it', async () => {
    const { write } = commits()
    const insert = (n: number) => write((tx) => tx.run('INSERT INTO t VALUES (?)', n), 1, UNSYNCED)
    const failed = write(
      () => {
        throw new Error('on purpose')
      },
      1,
      UNSYNCED,
    )
    await Promise.all([insert(1), expect(failed).rejects.toThrow('on purpose'), insert(2)])
    expect(db.all('SELECT n FROM t').map(({ n }) => n)).toEqual([1, 2])
    expect(modeOf(db)).toBe(FULL)
  })

  it('are left alone where nothing waits for the disk', async () => {
    db.exec('PRAGMA synchronous = NORMAL')
    const { write } = commits(false)
    expect(await Promise.all([write(modeOf), write(modeOf, 1, UNSYNCED)])).toEqual([NORMAL, NORMAL])
    expect(modeOf(db)).toBe(NORMAL)
  })
})
