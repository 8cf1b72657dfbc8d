// What the shop's services agree on: the events they tell each other, and the tasks they give each other. No code.
import { z } from 'zod'
import { defineEvent, defineTask, exponential } from 'millrace/contracts'

export const orderPlaced = defineEvent('order.placed', {
  payload: z.object({ orderId: z.string(), email: z.email(), cents: z.int().positive() }),
})
export const orderPaid = defineEvent('order.paid', {
  payload: z.object({ orderId: z.string(), email: z.email(), receipt: z.string() }),
})

/** Takes the money; what it answers comes back to whoever asked. */
export const chargeCard = defineTask('card.charge', {
  input: z.object({ orderId: z.string(), email: z.email(), cents: z.int().positive() }),
  output: z.object({ receipt: z.string() }),
  queue: 'payments',
  retry: { maxAttempts: 5, backoff: exponential('500ms', { max: '10s' }) },
  timeout: '30s',
})

export const sendMail = defineTask('mail.send', {
  input: z.object({ to: z.email(), subject: z.string() }),
  queue: 'mail',
})
