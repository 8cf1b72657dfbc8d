// Answers to who asked for a job, over RabbitMQ's direct reply-to: no queue is declared, the answer comes back on the channel
// that published the job, and is lost with it.
import type { ConfirmChannel, ConsumeMessage } from 'amqplib'
import type { Replies, Reply } from '../../driver/replies.js'
import type { Link } from './link.js'
import type { Outgoing, Publisher } from './publish.js'

/** Asks RabbitMQ to put in the address of the publishing channel: https://www.rabbitmq.com/docs/direct-reply-to */
export const REPLY_TO = 'amq.rabbitmq.reply-to'

export interface Listening extends Replies {
  /** The channel that publishes hears answers. Without it a message must not ask for one. */
  readonly on: boolean
}

export function createReplies(publisher: Publisher, link: Pick<Link, 'hold'>): Listening {
  const waiting = new Map<string, (reply: Reply) => void>()
  let wanted = false
  let channel: ConfirmChannel | undefined
  let listening: Promise<void> | undefined

  async function listen(mine: ConfirmChannel): Promise<void> {
    await mine.consume(REPLY_TO, got, { noAck: true })
    channel = mine
    mine.on('close', () => {
      if (channel === mine) channel = undefined
    })
  }

  function got(message: ConsumeMessage | null): void {
    const id: unknown = message?.properties.correlationId
    if (!message || typeof id !== 'string') return
    const tell = waiting.get(id)
    if (!tell) return
    waiting.delete(id)
    try {
      tell(JSON.parse(message.content.toString()) as Reply)
    } catch {
      // no answer of ours
    }
  }

  publisher.onChannel(async (mine) => {
    if (wanted) await listen(mine)
  })

  return {
    get on() {
      return channel !== undefined
    },
    async expect({ id, onReply }) {
      wanted = true
      const letGo = link.hold() // else a program that does nothing besides would end before it has published
      try {
        const mine = await publisher.ready()
        if (channel !== mine) await (listening ??= listen(mine).finally(() => (listening = undefined)))
      } finally {
        letGo()
      }
      waiting.set(id, onReply)
      return () => void waiting.delete(id)
    },
  }
}

export function replyMessage(replyTo: string, id: string, reply: Reply): Outgoing {
  const content = Buffer.from(JSON.stringify(reply))
  return { exchange: '', key: replyTo, content, options: { correlationId: id, contentType: 'application/json' }, id }
}
