// The command line on RabbitMQ without a store: it says what it cannot tell, and looks into a namespace.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openPlace, type Outcome, type Place } from '../cli/cli.js'
import { describeRabbitmq } from '../support/rabbitmq.js'

await describeRabbitmq('the command line without a store', (rabbitmq) => {
  let place: Place
  let run: (...args: string[]) => Promise<Outcome>
  beforeAll(() => {
    place = openPlace()
    const env = { MILLRACE_URL: `${rabbitmq.url}?prefix=command-line` }
    run = (...args) => place.run(args, { env })
  })
  afterAll(() => place[Symbol.asyncDispose]())

  it('looks into the namespace that it is given, and shows only what it knows', { timeout: 60_000 }, async () => {
    expect((await run('enqueue', 'greet', '--namespace', 'billing')).code).toBe(0)
    const outside = await run('queues', 'list')
    expect(outside).toMatchObject({ code: 0, stdout: '', stderr: expect.stringMatching(/no queues yet/) })
    const inside = await run('queues', 'list', '--namespace', 'billing')
    expect(inside.stdout.trimEnd().split('\n')).toEqual(['NAME     READY', 'default      1'])
    expect(inside.stderr).toMatch(/no store, so only what waits to be taken is counted/)
  })

  it('jobs list shows the dead where nothing else is known, and says so', { timeout: 60_000 }, async () => {
    expect(await run('jobs', 'list')).toEqual({
      code: 0,
      stdout: '',
      stderr: 'note: this broker has no store, so only jobs that are dead can be listed.\nNo job is dead.\n',
    })
    const ready = await run('jobs', 'list', '--state', 'ready')
    expect(ready).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/cannot list jobs in other states than 'dead'/),
    })
  })
})
