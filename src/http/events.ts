// POST /events: CloudEvents from outside, all of a request or none; answered when they are durable.
import { eventEnvelope, traceOf } from '../client/publish.js'
import { headersOf } from '../client/headers.js'
import { MAX_BYTES } from '../core/codec.js'
import { PayloadTooLargeError, messageOf, type Issue } from '../core/errors.js'
import { OWN_SOURCE, checkEventName } from '../core/event.js'
import { check, validationError } from '../core/schema.js'
import type { EventEnvelope } from '../driver/events.js'
import { json } from './answer.js'
import { bytesOf, mediaType } from './body.js'
import { BATCH_TYPE, eventsOf, type ReceivedEvent } from './cloud-events.js'
import type { Admitted, House } from './context.js'
import { Problem } from './problem.js'
import { traceIn } from './trace.js'

/** What became of an event: its id in the store, to which a subscription's name is added for the id of its copy. */
export interface PublishedEvent {
  readonly id: string
  readonly duplicate: boolean
}

export async function receiveEvents(house: House, { request, caller }: Admitted): Promise<Response> {
  caller.needs('publish')
  const received = eventsOf(request.headers, await bytesOf(request, house.settings))
  for (const { attributes } of received)
    if (!caller.mayEvent(attributes.type))
      throw new Problem('ERR_FORBIDDEN', `This token may not publish the event "${attributes.type}".`)
  const isBatch = mediaType(request.headers.get('content-type')) === BATCH_TYPE
  const issues: Issue[] = []
  for (const [i, one] of received.entries()) {
    const where = isBatch ? `$[${i}]` : '$'
    for (const issue of await issuesOf(house, one)) issues.push({ ...issue, path: where + issue.path.slice(1) })
  }
  if (issues.length > 0) throw validationError(received.length === 1 ? 'The event' : 'The batch', issues)
  return json(202, { events: await publishAll(house, received, request.headers) })
}

/** What is wrong with an event that is well formed: its name, its source, its payload. */
export async function issuesOf({ catalogue, settings, flow }: House, event: ReceivedEvent): Promise<readonly Issue[]> {
  const { type, source } = event.attributes
  try {
    checkEventName(type)
  } catch (error) {
    return [{ path: '$.type', message: messageOf(error) }]
  }
  if (source === OWN_SOURCE)
    return [{ path: '$.source', message: `"${OWN_SOURCE}" stands for clients of this store; name your own` }]
  const known = await flow.read(catalogue.event(type))
  if (!known) {
    if (!settings.refusesUnknownEvents) return []
    const names = (await catalogue.events()).map(({ name }) => name).join(', ')
    return [{ path: '$.type', message: `there is no event "${type}" here. There are: ${names}` }]
  }
  const none = known.schema === undefined && (event.payload === undefined || event.payload === null)
  const checked = none ? { value: undefined } : await check(known.schema, event.payload)
  return 'issues' in checked
    ? checked.issues.map(({ path, message }) => ({ path: `$.data${path.slice(1)}`, message }))
    : []
}

/** Publish them in one step. @throws Problem 503 when the store does not take them in time */
export async function publishAll(
  { parts, flow }: House,
  received: readonly ReceivedEvent[],
  http: Headers,
): Promise<readonly PublishedEvent[]> {
  if (received.length === 0) return []
  const now = new Date(parts.session.around.now()).toISOString()
  const events = received.map((one) => envelopeOf(parts.session, one, { now, http }))
  const receipts = await flow.write(parts.session.open().then((driver) => driver.events.publish({ events })))
  return receipts.map(({ duplicate }, i) => ({ id: events[i]!.id, duplicate }))
}

function envelopeOf(
  session: House['parts']['session'],
  { attributes, data }: ReceivedEvent,
  { now, http }: { readonly now: string; readonly http: Headers },
): EventEnvelope {
  const { extensions = {} } = attributes
  const own = traceIn((name) => extensions[name])
  // The event's own trace is that of who made it; without one, that of the request.
  const trace = own['traceparent'] === undefined ? traceIn((name) => http.get(name)) : own
  const complete = { ...attributes, time: attributes.time ?? now, extensions: { ...extensions, ...traceOf(trace) } }
  const envelope = eventEnvelope(session, complete, data, headersOf(trace, undefined))
  const bytes = Buffer.byteLength(envelope.body)
  if (bytes > MAX_BYTES) throw new PayloadTooLargeError(`Event "${attributes.id}"`, bytes, MAX_BYTES)
  return envelope
}
