// What `millrace/http` exports, and nothing else.
export { gateway } from './gateway.js'
export type { Gateway, GatewayStats } from './gateway.js'
export type { Cors, GatewayOptions } from './options.js'
export type { RateLimit } from './rate-limit.js'
export type { GatewayToken, Scope } from './tokens.js'
export { github } from './webhooks/github.js'
export { slack } from './webhooks/slack.js'
export type {
  WebhookDelivery,
  WebhookOptions,
  WebhookOutcome,
  WebhookRequest,
  WebhookSource,
} from './webhooks/source.js'
export { standardWebhooks } from './webhooks/standard.js'
export { stripe } from './webhooks/stripe.js'
