// POST /webhooks/{name}: verified on its raw bytes, published, and only then answered.
import { encode } from '../../core/codec.js'
import { checkEventName } from '../../core/event.js'
import { validationError } from '../../core/schema.js'
import { json } from '../answer.js'
import { bytesOf } from '../body.js'
import type { House } from '../context.js'
import { issuesOf, publishAll } from '../events.js'
import { Problem } from '../problem.js'
import type { WebhookDelivery, WebhookSource } from './source.js'

/** @param onBadSignature told of every request that was not genuine */
export async function receiveWebhook(
  house: House,
  request: Request,
  { name, source, onBadSignature }: { name: string; source: WebhookSource; onBadSignature(why: string): void },
): Promise<Response> {
  const body = await bytesOf(request, house.settings)
  const now = house.parts.session.around.now()
  const outcome = await source.receive({ name, headers: request.headers, body, now })
  if (outcome.is === 'refused') {
    onBadSignature(outcome.why)
    // Whoever probes for what would be right learns nothing.
    throw new Problem('ERR_BAD_SIGNATURE', 'The signature of this webhook does not hold.', {
      headers: { 'www-authenticate': 'Signature' },
    })
  }
  if (outcome.is === 'malformed') throw new Problem('ERR_BAD_EVENT', outcome.why)
  if (outcome.is === 'challenge') return json(200, { challenge: outcome.answer })
  return publish(house, request, { name, source, delivery: outcome.delivery })
}

async function publish(
  house: House,
  request: Request,
  { name, source, delivery }: { name: string; source: WebhookSource; delivery: WebhookDelivery },
): Promise<Response> {
  const type = source.event(delivery, name)
  if (type === undefined) return json(200, { ignored: true })
  const event = {
    attributes: {
      id: delivery.id,
      source: `/webhooks/${name}`,
      type: checkEventName(type),
      subject: delivery.subject,
      datacontenttype: 'application/json',
    },
    data: { json: encode(delivery.payload, 'The payload') },
    payload: delivery.payload,
  }
  const issues = await issuesOf(house, event)
  if (issues.length > 0) throw validationError(`The webhook "${name}"`, issues)
  const [published] = await publishAll(house, [event], request.headers)
  return json(published!.duplicate ? 200 : 202, published)
}
