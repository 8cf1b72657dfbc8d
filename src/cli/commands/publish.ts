// millrace publish EVENT [JSON]: one event from the command line.
import type { Command } from 'commander'
import { hasCode, type BrokerUnavailableError } from '../../core/errors.js'
import { Failure } from '../fail.js'
import type { GlobalFlags } from '../flags.js'
import { jsonOf } from '../input.js'
import { print, printJson, remark } from '../print.js'
import { withClient } from '../target.js'

interface Flags extends GlobalFlags {
  readonly id?: string
  readonly subject?: string
}

export function addPublish(program: Command): void {
  program
    .command('publish')
    .description('Publish one event and print its id: every subscription whose pattern fits gets a copy.')
    .argument('<event>', 'name of the event')
    .argument('[json]', 'its payload; - reads it from standard input')
    .option('--id <id>', 'chosen by you: the same id again is the same event')
    .option('--subject <text>', 'what it is about')
    .addHelpText(
      'after',
      `
The payload is checked where a worker that knows the event has told its schema to the store; a broker without a store
knows none, so there it is published as you give it.

Examples:
  $ millrace publish order.paid '{"orderId":"A1","cents":4200}'
  $ cat event.json | millrace publish order.paid - --id evt_1`,
    )
    .action((event: string, json: string | undefined, _own: Flags, command: Command) =>
      publish(event, json, command.optsWithGlobals<Flags>()),
    )
}

async function publish(name: string, json: string | undefined, flags: Flags): Promise<void> {
  const payload = await jsonOf(json, 'payload')
  const { eventFromStore } = await import('../tasks.js')
  await withClient(flags, { create: false }, async (client) => {
    const { id, subject } = flags
    const { event, known } = await eventFromStore(client, name, payload !== undefined)
    if (!known && !flags.json) remark(`note: no worker has told of an event "${name}", so its payload is not checked.`)
    const published = await client
      .publish<any>(event, payload, { ...(id !== undefined && { id }), ...(subject !== undefined && { subject }) })
      .catch((error: unknown) => {
        throw withAdvice(error)
      })
    if (flags.json) return printJson(published)
    if (published.duplicate) remark(`duplicate: event ${published.id} was published before`)
    print(published.id)
  })
}

/** Nobody knows whether the event was kept: its id makes it safe to try again. */
function withAdvice(error: unknown): unknown {
  if (!hasCode(error, 'ERR_BROKER_UNAVAILABLE')) return error
  const { outcome, ids, message } = error as BrokerUnavailableError
  if (outcome === 'not-sent' || ids[0] === undefined) return error
  return new Failure(`${message} The event may be published; try again with --id ${ids[0]}, which is safe.`, {
    cause: error,
  })
}
