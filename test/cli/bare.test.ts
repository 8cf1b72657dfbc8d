// What commands take for a task or an event on a broker without a store, which knows neither.
import { afterEach, describe, expect, it } from 'vitest'
import { eventFromStore, taskFromStore } from '../../src/cli/tasks.js'
import { connect, type Client } from '../../src/connect.js'
import { specOf } from '../../src/core/task.js'
import { bareMemory } from '../support/bare.js'

let client: Client<any>
afterEach(() => client.close())

describe('a command on a broker without a store', () => {
  it('takes the task as it is given', async () => {
    client = (await connect(bareMemory())) as Client<any>
    const { task, needsCode } = await taskFromStore(client, 'mail.send', 'amqp://localhost', {
      queue: 'mail',
      given: true,
    })
    expect([task.name, specOf(task).queue, needsCode]).toEqual(['mail.send', 'mail', false])
    expect(specOf(task).input).toBeDefined()
    const plain = await taskFromStore(client, 'tidy', 'amqp://localhost', { given: false })
    expect([specOf(plain.task).queue, specOf(plain.task).input]).toEqual(['default', undefined])
    expect((await client.enqueue(task as never, { to: 'ada' } as never)).duplicate).toBe(false)
  })

  it('takes the event as it is given', async () => {
    client = (await connect(bareMemory())) as Client<any>
    const { event, known } = await eventFromStore(client, 'order.paid', true)
    expect([event.name, known]).toEqual(['order.paid', false])
  })
})
