// A worker whose handler of job 0 blocks the event loop: until a file appears, or for ever.
import { appendFileSync, existsSync } from 'node:fs'
import { connect, defineTask, handle, unchecked } from 'millrace'

const { URL_, LEDGER, UNTIL, TIMEOUT = '1m' } = process.env
const task = defineTask('block', { input: unchecked(), timeout: TIMEOUT })
const client = await connect(URL_)
await client.work({
  handlers: [
    handle(task, ({ n }) => {
      appendFileSync(LEDGER, `blocker ${n}\n`)
      if (n !== 0) return
      console.log('blocking')
      while (!UNTIL || !existsSync(UNTIL));
      console.log('went on')
    }),
  ],
})
