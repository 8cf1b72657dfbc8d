// Reading a stream from its beginning to its present end, without taking anything away. RabbitMQ does not tell where the end
// is. But one process there answers all that is asked on a channel, in order, and gives all that there is before it answers:
// when an answer comes and no message came before it, what we have is all. Only a stream that gives nothing at all tells
// nothing, since its first message may still be on its way; then a mark is written, and from then on it is not empty.
import type { ConsumeMessage } from 'amqplib'
import { newId } from '../../core/id.js'
import { answered } from './declare.js'
import type { Link } from './link.js'
import { onOwnChannel } from './probe.js'
import type { Publisher } from './publish.js'

const MARK = 'millrace-mark'
const PREFETCH = 500
/** Milliseconds after which a stream that has given nothing may be empty. */
const FIRST_WITHIN = 250

/** A message of ours in a stream that means nothing. */
function markMessage(queue: string) {
  const id = newId()
  const options = { persistent: true, messageId: id, type: MARK }
  return { exchange: '', key: queue, content: Buffer.alloc(0), options, id }
}

/** @param onMessage called with each message but marks, and its place in the stream */
export async function readStream(
  o: { readonly link: Link; readonly publisher: Publisher; readonly queue: string; readonly within: number },
  onMessage: (message: ConsumeMessage, place: number) => void,
): Promise<void> {
  const late = () => new Error(`"${o.queue}" was not read within ${o.within} ms.`)
  await o.link.use({ within: o.within }, ({ connection }) =>
    answered(
      onOwnChannel(connection, async (channel) => {
        let came = 0
        let tellFirst!: () => void
        let fail!: (error: Error) => void
        const first = new Promise<void>((resolve) => (tellFirst = resolve))
        const broken = new Promise<never>((_, reject) => (fail = reject))
        broken.catch(() => {})
        channel.on('close', () => fail(new Error(`The channel that read "${o.queue}" was closed.`)))
        const take = (message: ConsumeMessage | null) => {
          if (!message) return fail(new Error(`"${o.queue}" was deleted.`))
          came += 1
          channel.ack(message)
          tellFirst()
          if (message.properties.type === MARK) return
          onMessage(message, Number(message.properties.headers?.['x-stream-offset'] ?? 0))
        }
        await channel.prefetch(PREFETCH, false)
        await channel.consume(o.queue, take, { arguments: { 'x-stream-offset': 'first' } })
        const empty = setTimeout(() => {
          o.publisher.send([markMessage(o.queue)], { mandatory: true, within: o.within }).catch(fail)
        }, FIRST_WITHIN)
        try {
          await Promise.race([first, broken])
        } finally {
          clearTimeout(empty)
        }
        for (let before = -1; before !== came;) {
          before = came
          await Promise.race([channel.prefetch(PREFETCH, false), broken])
        }
      }),
      o.within,
      late,
    ),
  )
}
