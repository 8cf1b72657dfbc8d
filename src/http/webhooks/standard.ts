// Standard Webhooks, as many services sign (Svix, Clerk, Resend, OpenAI and others).
// Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
import { ConfigurationError } from '../../core/errors.js'
import { isSigned, malformed, namer, objectOf, refused, secretsOf, staleness } from './signature.js'
import type { WebhookOptions, WebhookSource } from './source.js'

const PREFIX = 'whsec_'

/**
 * A sender that follows Standard Webhooks: `webhook-id`, `webhook-timestamp` (at most 5 minutes away) and
 * `webhook-signature`. The event is named `<mount>.<type>`, with the `type` of the payload,
 * or `<mount>.received` where it has none.
 * @param o `secret`: as the sender shows it, `whsec_…`, base64
 * @throws ConfigurationError
 */
export function standardWebhooks(o: WebhookOptions): WebhookSource {
  const where = 'standardWebhooks()'
  const secrets = secretsOf(where, o, keyOf)
  return {
    kind: 'webhook',
    receive({ headers, body, now }) {
      const [id, timestamp, signature] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((header) =>
        headers.get(header),
      )
      if (!id || !timestamp || !signature) return refused('a header of Standard Webhooks is missing')
      const stale = staleness(timestamp, now)
      if (stale !== undefined) return refused(stale)
      const signatures = signature
        .split(' ')
        .filter((one) => one.startsWith('v1,'))
        .map((one) => Buffer.from(one.slice(3), 'base64'))
      if (!isSigned(secrets, [`${id}.${timestamp}.`, body], signatures)) return refused('no signature fits')
      const payload = objectOf(body)
      if (!payload) return malformed('The body is no JSON object.')
      const { type } = payload
      const called = typeof type === 'string' && type !== '' ? type : 'received'
      return { is: 'delivery', delivery: { id, type: called, payload } }
    },
    event: namer(where, o, ({ type }, name) => `${name}.${type}`),
  }
}

function keyOf(secret: string): Buffer {
  const text = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret
  const key = Buffer.from(text, 'base64')
  if (key.length >= 16 && /^[A-Za-z0-9+/]+={0,2}$/.test(text)) return key
  throw new ConfigurationError(
    'standardWebhooks().secret: it is no base64 of at least 16 bytes. Copy it as the sender shows it: whsec_…',
  )
}
