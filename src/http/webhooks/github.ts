// Webhooks of GitHub.
// Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
import { mediaType } from '../body.js'
import { isSigned, malformed, namer, objectOf, refused, secretsOf } from './signature.js'
import type { WebhookOptions, WebhookRequest, WebhookSource } from './source.js'

/**
 * Webhooks of GitHub: `X-Hub-Signature-256`, told apart by `X-GitHub-Delivery`. GitHub signs no time, so an old request that
 * was recorded is refused only while the event log keeps its id. The event is named `github.<event>`: `github.push`.
 * @throws ConfigurationError
 */
export function github(o: WebhookOptions): WebhookSource {
  const secrets = secretsOf('github()', o)
  return {
    kind: 'webhook',
    receive({ headers, body }) {
      const [, hex] = /^sha256=([0-9a-f]{64})$/i.exec(headers.get('x-hub-signature-256') ?? '') ?? []
      if (hex === undefined) return refused('it has no X-Hub-Signature-256')
      if (!isSigned(secrets, [body], [Buffer.from(hex, 'hex')])) return refused('the signature does not fit')
      const [id, type] = [headers.get('x-github-delivery'), headers.get('x-github-event')]
      if (!id || !type) return malformed('X-GitHub-Delivery or X-GitHub-Event is missing.')
      const payload = payloadOf(headers, body)
      if (!payload) return malformed('The body is no JSON object.')
      return { is: 'delivery', delivery: { id, type, payload } }
    },
    event: namer('github()', o, ({ type }) => `github.${type}`),
  }
}

/** GitHub sends JSON, or a form with the JSON in its field `payload`. */
function payloadOf(headers: Headers, body: WebhookRequest['body']): Record<string, unknown> | undefined {
  if (mediaType(headers.get('content-type')) !== 'application/x-www-form-urlencoded') return objectOf(body)
  return objectOf(new URLSearchParams(Buffer.from(body).toString('utf8')).get('payload') ?? '')
}
