// A producer process for chaos tests: enqueues TOTAL jobs, IN_FLIGHT at a time, prints each id once its promise has
// resolved, and kills itself without warning right after the last.
import { writeSync } from 'node:fs'
import { connect, defineTask, unchecked } from 'millrace'

const { URL_, TOTAL, IN_FLIGHT } = process.env
const task = defineTask('chaos', { input: unchecked() })
const client = await connect(URL_)
let next = 0
async function lane() {
  while (next < Number(TOTAL)) {
    const n = next++
    const { id } = await client.enqueue(task, { n })
    writeSync(1, `${id}\n`)
  }
}
await Promise.all(Array.from({ length: Number(IN_FLIGHT) }, lane))
process.kill(process.pid, 'SIGKILL')
