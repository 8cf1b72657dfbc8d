// { tx } on the user's own handle, and the rule of one SQLite library for one file in a process.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { connect } from '../../src/connect.js'
import { defineTask } from '../../src/core/task.js'
import { unchecked } from '../../src/core/schema.js'
import { defaultEngine } from '../../src/drivers/sqlite/engine.js'
import { sqlite } from '../../src/drivers/sqlite/index.js'
import { handle } from '../../src/worker/define.js'
import { useFolder } from '../support/folder.js'

const folder = useFolder()
const Engine = defaultEngine()
const mail = defineTask('mail', { input: unchecked<{ to: string }>(), output: unchecked<string>() })

async function setting() {
  const file = join(folder(), 'app.db')
  const client = await connect(sqlite({ file, engine: Engine }))
  const db = new Engine(file)
  db.exec('CREATE TABLE IF NOT EXISTS users (name TEXT UNIQUE)')
  return { client, db, file }
}

describe('{ tx }', () => {
  it('keeps the job exactly when the row of the user is kept, and a worker gets it after the commit', async () => {
    const { client, db } = await setting()
    await client.work({ handlers: [handle(mail, ({ to }) => `sent to ${to}`)] })
    db.exec('BEGIN')
    db.exec(`INSERT INTO users VALUES ('ada')`)
    const undone = await client.enqueue(mail, { to: 'ada' }, { tx: db })
    db.exec('ROLLBACK')
    expect(await client.jobs.get(undone.id)).toBeUndefined()
    db.exec('BEGIN')
    db.exec(`INSERT INTO users VALUES ('ada')`)
    const [job] = await client.enqueueMany(mail, [{ to: 'ada' }], { tx: db })
    db.exec('COMMIT')
    expect(await job!.result()).toBe('sent to ada')
    expect(db.prepare('SELECT name FROM users').all()).toHaveLength(1)
    db.close()
    await client.close()
  })

  it('throws at once in a synchronous transaction, so that it rolls back', async () => {
    const { client, db } = await setting()
    const signUp = (input: { to: string }) => {
      db.exec('BEGIN')
      try {
        db.exec(`INSERT INTO users VALUES ('bob')`)
        void client.enqueue(mail, input, { tx: db })
        db.exec('COMMIT')
      } catch (error) {
        db.exec('ROLLBACK')
        throw error
      }
    }
    expect(() => signUp({ to: 1n } as never)).toThrow(/\$\.to is a bigint/)
    expect(db.prepare('SELECT name FROM users').all()).toEqual([])
    signUp({ to: 'bob' })
    expect((await client.jobs.list()).jobs).toHaveLength(1)
    db.close()
    await client.close()
  })

  it('refuses an asynchronous schema, a handle of another library or file, and a client that is not connected', async () => {
    const { client, db } = await setting()
    const slow = defineTask('slow', {
      input: {
        '~standard': { version: 1, vendor: 'x', validate: async (value: unknown) => ({ value: value as string }) },
      },
    })
    expect(() => client.enqueue(slow, 'x', { tx: db })).toThrow(/asynchronous/)
    expect(() => client.enqueue(mail, { to: 'x' }, { tx: {} as typeof db })).toThrow(/no database of this driver/)
    const elsewhere = new Engine(join(folder(), 'other.db'))
    expect(() => client.enqueue(mail, { to: 'x' }, { tx: elsewhere })).toThrow(/Open the same file/)
    elsewhere.close()
    await client.close()
    expect(() => client.enqueue(mail, { to: 'x' }, { tx: db })).toThrow(/closed/)
    db.close()
  })
})

describe('two SQLite libraries on one file in one process', () => {
  it('are refused, because they would break the file', async () => {
    const { client, db, file } = await setting()
    class OtherCopy extends Engine {}
    await expect(connect(sqlite({ file, engine: OtherCopy }))).rejects.toMatchObject({
      code: 'ERR_CONFIGURATION',
      message: /another SQLite library/,
    })
    db.close()
    await client.close()
  })
})
