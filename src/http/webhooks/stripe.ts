// Webhooks of Stripe.
// Source: https://docs.stripe.com/webhooks#verify-manually
import { isSigned, malformed, namer, objectOf, refused, secretsOf, staleness } from './signature.js'
import type { WebhookOptions, WebhookSource } from './source.js'

/**
 * Webhooks of Stripe: `Stripe-Signature` with a timestamp (at most 5 minutes away), told apart by the id of Stripe's event.
 * The event is named `stripe.<type>`: `stripe.invoice.paid`.
 * @param o `secret`: that of the endpoint, `whsec_…`
 * @throws ConfigurationError
 */
export function stripe(o: WebhookOptions): WebhookSource {
  const secrets = secretsOf('stripe()', o)
  return {
    kind: 'webhook',
    receive({ headers, body, now }) {
      const parts = (headers.get('stripe-signature') ?? '').split(',').map((part) => part.trim())
      const valuesOf = (key: string) =>
        parts.filter((part) => part.startsWith(`${key}=`)).map((part) => part.slice(key.length + 1))
      const [timestamp] = valuesOf('t')
      if (timestamp === undefined) return refused('it has no Stripe-Signature with a timestamp')
      const stale = staleness(timestamp, now)
      if (stale !== undefined) return refused(stale)
      const signatures = valuesOf('v1').map((hex) => Buffer.from(hex, 'hex'))
      if (!isSigned(secrets, [`${timestamp}.`, body], signatures)) return refused('no signature fits')
      const payload = objectOf(body)
      if (typeof payload?.['id'] !== 'string' || typeof payload['type'] !== 'string')
        return malformed('The body is no event of Stripe: it has no id and type.')
      return { is: 'delivery', delivery: { id: payload['id'], type: payload['type'], payload } }
    },
    event: namer('stripe()', o, ({ type }) => `stripe.${type}`),
  }
}
