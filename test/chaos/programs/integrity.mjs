// Prints what SQLite itself says of the file: "ok", or what is broken.
import Database from 'better-sqlite3'
import { options } from './effects.mjs'

const db = new Database(options.file)
console.log(db.pragma('integrity_check', { simple: true }))
db.close()
