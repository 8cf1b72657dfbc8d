// What of a URL may be shown.
import { expect, it } from 'vitest'
import { withoutSecret } from './url.js'

it.each([
  ['amqp://user:secret@host/vhost', 'amqp://***@host/vhost'],
  ['amqp://user:se@cret/secret?secret#secret@host/vhost', 'amqp://***@host/vhost'],
  ['postgres://user@host/db', 'postgres://***@host/db'],
  ['sqlite:./jobs.db', 'sqlite:./jobs.db'],
  ['sqlite:/home/a@b/jobs.db', 'sqlite:/home/a@b/jobs.db'],
])('%s is shown as %s', (url, shown) => {
  expect(withoutSecret(url)).toBe(shown)
})
