// What a publish answers when an id is taken: the same in every driver.
import type { Envelope } from '../core/envelope.js'
import { JobConflictError } from '../core/errors.js'

/** What stands for an envelope or event: itself, or the earlier one that has its id or holds its unique key. */
export interface Receipt {
  readonly id: string
  readonly duplicate: boolean
}

/**
 * The receipt for an envelope whose id is taken by a job of the task `name`.
 * @throws JobConflictError when that is another task: its result would be of the wrong type.
 */
export function standing(envelope: Pick<Envelope, 'id' | 'name'>, name: string): Receipt {
  if (name === envelope.name) return { id: envelope.id, duplicate: true }
  throw new JobConflictError(
    `The id "${envelope.id}" belongs to a job of task "${name}", so task "${envelope.name}" cannot use it.`,
    { id: envelope.id, holder: envelope.id },
  )
}

/**
 * Refuses an event whose id is taken by an event of another name, which it would be taken for.
 * @throws JobConflictError
 */
export function checkSameEvent(event: { readonly id: string; readonly name: string }, name: string): void {
  if (name === event.name) return
  throw new JobConflictError(
    `The id "${event.id}" belongs to an event "${name}", so event "${event.name}" cannot use it. Give each event an id of its own, for example with its name in it.`,
    { id: event.id, holder: event.id },
  )
}
