// What we need of amqplib's connections and what its types do not tell. Every use of its inner parts is in this file; where
// a part is missing, in another version, we do without.
import type { ChannelModel } from 'amqplib'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

interface Inner {
  readonly stream?: Socket
  readonly frameMax?: number
  readonly heartbeater?: { readonly sendTimer?: NodeJS.Timeout; readonly recvTimer?: NodeJS.Timeout } | null
  readonly channels?: readonly (
    { readonly buffer?: Partial<Pick<Duplex, 'readableLength' | 'writableLength'>> } | null | undefined
  )[]
}

const innerOf = (connection: ChannelModel): Inner => connection.connection as unknown as Inner

export const frameMaxOf = (connection: ChannelModel): number => innerOf(connection).frameMax ?? 131_072

/** Whether the connection alone keeps the process from ending. */
export function keepProcess(connection: ChannelModel, keep: boolean): void {
  const { stream, heartbeater } = innerOf(connection)
  for (const one of [stream, heartbeater?.sendTimer, heartbeater?.recvTimer]) {
    if (keep) one?.ref()
    else one?.unref()
  }
}

/**
 * amqplib writes every message by itself, and with `noDelay` each write is a packet: 20,000 for 20,000 jobs, which the broker
 * takes one by one. What one turn of the event loop writes goes out together instead, at its end.
 */
export function gatherWrites(connection: ChannelModel): void {
  const { stream } = innerOf(connection)
  if (!stream) return
  const write = stream.write.bind(stream) as (...args: readonly unknown[]) => boolean
  let gathering = false
  const send = () => {
    gathering = false
    stream.uncork()
  }
  const gather = (...args: readonly unknown[]) => {
    if (!gathering) {
      gathering = true
      stream.cork()
      process.nextTick(send)
    }
    return write(...args)
  }
  stream.write = gather as typeof stream.write
}

/** What channels have written has left them. Frames of the connection itself, such as its close, would overtake it. */
export async function flushed(connection: ChannelModel): Promise<void> {
  const { channels = [] } = innerOf(connection)
  const left = () => channels.some((one) => (one?.buffer?.readableLength ?? 0) + (one?.buffer?.writableLength ?? 0) > 0)
  while (left()) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** The connection is over: let its last frame out, then let go of the socket, also when nobody is there to take the frame. */
export function endSoon(connection: ChannelModel): void {
  const { stream } = innerOf(connection)
  if (!stream || stream.destroyed) return
  keepProcess(connection, false)
  const timer = setTimeout(() => destroy(connection), 500)
  timer.unref()
  stream.once('close', () => clearTimeout(timer))
}

/** With an error, since only then amqplib rejects what still waits for an answer. */
export function destroy(connection: ChannelModel): void {
  innerOf(connection).stream?.destroy(new Error('The connection was given up.'))
}
