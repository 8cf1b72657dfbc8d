// The first program of the README.
import { z } from 'zod'
import { connect, defineTask, handle } from 'millrace'
const greet = defineTask('greet', {
  input: z.object({ name: z.string() }),
  output: z.object({ text: z.string() }),
})
const client = await connect('sqlite:hello.db') // one file, no server
await client.work({ handlers: [handle(greet, async ({ name }) => ({ text: `Hello, ${name}!` }))] })
const job = await client.enqueue(greet, { name: 'Ada' }) // on disk once this resolves
console.log(await job.result({ timeout: '10s' })) // { text: 'Hello, Ada!' }
await client.close()
