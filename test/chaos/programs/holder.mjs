// A user's own program on the same file: opens a transaction of better-sqlite3 with a write in it, and commits at SIGTERM.
import Database from 'better-sqlite3'
import { endWithRunner, options } from './effects.mjs'

endWithRunner()

const db = new Database(options.file, { timeout: 10_000 })
db.exec('BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS mine (n INTEGER); INSERT INTO mine VALUES (1)')
const keepAlive = setInterval(() => {}, 1000)
process.on('SIGTERM', () => {
  db.exec('COMMIT')
  db.close()
  clearInterval(keepAlive)
})
console.log('ready')
