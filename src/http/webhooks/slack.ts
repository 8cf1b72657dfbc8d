// The Events API of Slack.
// Source: https://docs.slack.dev/authentication/verifying-requests-from-slack
import { isSigned, malformed, namer, objectOf, refused, secretsOf, staleness } from './signature.js'
import type { WebhookOptions, WebhookSource } from './source.js'

/**
 * The Events API of Slack: `X-Slack-Signature` with `X-Slack-Request-Timestamp` (at most 5 minutes away), told apart by
 * `event_id`. Slack's `url_verification` is answered. The event is named `slack.<type>`, with the type of the inner event:
 * `slack.app_mention`. Slash commands and interactive messages have no id and want an answer of yours, so they are refused.
 * @param o `secret`: the app's signing secret
 * @throws ConfigurationError
 */
export function slack(o: WebhookOptions): WebhookSource {
  const secrets = secretsOf('slack()', o)
  return {
    kind: 'webhook',
    receive({ headers, body, now }) {
      const timestamp = headers.get('x-slack-request-timestamp')
      const [, hex] = /^v0=([0-9a-f]{64})$/i.exec(headers.get('x-slack-signature') ?? '') ?? []
      if (timestamp === null || hex === undefined) return refused('a header of Slack is missing')
      const stale = staleness(timestamp, now)
      if (stale !== undefined) return refused(stale)
      if (!isSigned(secrets, [`v0:${timestamp}:`, body], [Buffer.from(hex, 'hex')]))
        return refused('the signature does not fit')
      const payload = objectOf(body)
      if (payload?.['type'] === 'url_verification' && typeof payload['challenge'] === 'string')
        return { is: 'challenge', answer: payload['challenge'] }
      const { event_id: id, event } = (payload ?? {}) as { event_id?: unknown; event?: { type?: unknown } }
      if (!payload || typeof id !== 'string' || typeof event?.type !== 'string')
        return malformed('The body is no event of the Events API: it has no event_id and event.type.')
      return { is: 'delivery', delivery: { id, type: event.type, payload } }
    },
    event: namer('slack()', o, ({ type }) => `slack.${type}`),
  }
}
