// Asks the broker whether it is there: twice a second for every worker, so over a channel that stays open, since to open one
// and close it again costs several times as much.
import type { Channel, ChannelModel } from 'amqplib'

interface Open {
  readonly connection: ChannelModel
  readonly channel: Promise<Channel>
}

/** A ping that resolves when the broker has answered, and rejects when the connection is lost. */
export function createPing(): (connection: ChannelModel) => Promise<void> {
  let last: Open | undefined

  function open(connection: ChannelModel): Open {
    const channel = connection.createChannel()
    const mine: Open = { connection, channel }
    const forget = () => {
      if (last === mine) last = undefined
    }
    channel.then((one) => one.on('error', () => {}).once('close', forget), forget)
    return mine
  }

  return async (connection) => {
    if (last?.connection !== connection) last = open(connection)
    const channel = await last.channel
    // Any question will do; this one changes nothing, for nothing is consumed there.
    await channel.prefetch(1)
  }
}
