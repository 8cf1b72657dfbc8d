// Which transactions wait for the disk. What a power cut takes cannot be tried here; the mode in which SQLite writes can.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCommits, type Companion } from './commits.js'
import { dbOf, defaultEngine, type Db } from './engine.js'

const [NORMAL, FULL] = [1, 2]
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
  const commits = (full = true, companion?: Companion<string>) =>
    createCommits({ db: () => db, file: 'jobs.db', timeout: () => 1000, full, ...(companion && { companion }) })

  it('wait for the disk unless none of their operations needs it', async () => {
    const { write } = commits()
    expect(await write(modeOf)).toBe(FULL)
    expect(await write(modeOf, 1, 'soon')).toBe(NORMAL)
    expect(modeOf(db)).toBe(FULL)
    expect(await Promise.all([write(modeOf, 1, 'soon'), write(modeOf)])).toEqual([FULL, FULL])
    expect(await Promise.all([write(modeOf, 1, 'soon'), write(modeOf, 1, 'soon')])).toEqual([NORMAL, NORMAL])
    expect(modeOf(db)).toBe(FULL)
  })

  it('wait for the disk at a beat exactly when something before it does not wait for ever', async () => {
    const taken = { wanted: false, run: () => 'work', committed: () => {}, undone: () => {} }
    const { write } = commits(true, taken)
    const beat = () => write(modeOf, 1, 'beat')
    expect([await beat(), await beat()]).toEqual([NORMAL, NORMAL])
    await write(modeOf, 1, 'soon')
    expect([await beat(), await beat()]).toEqual([FULL, NORMAL])
    await write(modeOf, 1, 'soon')
    await write(modeOf)
    expect(await beat()).toBe(NORMAL)
    taken.wanted = true
    expect(await beat()).toBe(NORMAL)
    taken.wanted = false
    expect([await beat(), await beat()]).toEqual([FULL, NORMAL])
  })

  it('wait again after an operation that failed, and keep what was written beside it', async () => {
    const { write } = commits()
    const insert = (n: number) => write((tx) => tx.run('INSERT INTO t VALUES (?)', n), 1, 'soon')
    const failed = write(
      () => {
        throw new Error('on purpose')
      },
      1,
      'soon',
    )
    await Promise.all([insert(1), expect(failed).rejects.toThrow('on purpose'), insert(2)])
    expect(db.all('SELECT n FROM t').map(({ n }) => n)).toEqual([1, 2])
    expect(modeOf(db)).toBe(FULL)
  })

  it('are left alone where nothing waits for the disk', async () => {
    db.exec('PRAGMA synchronous = NORMAL')
    const { write } = commits(false)
    expect(await Promise.all([write(modeOf), write(modeOf, 1, 'soon')])).toEqual([NORMAL, NORMAL])
    expect(modeOf(db)).toBe(NORMAL)
  })
})
