// Patterns of event names: which events a subscription gets. Pure, so that every driver matches alike.
import { checkEventName, type Event } from './event.js'
import { ConfigurationError, shown } from './errors.js'

/** Some events, picked by a pattern; made by `match`. */
export interface EventPattern<E> {
  readonly pattern: string
  readonly '~event'?: E
  /** The events it was made of; their schemas check what arrives. */
  readonly '~among'?: readonly Event[]
}

/** The longest pattern, in characters: RabbitMQ takes 255 bytes. */
const LONGEST = 200
const PATTERN = /^(?:[A-Za-z0-9_-]+|\*)(?:\.(?:[A-Za-z0-9_-]+|\*))*(?:\.#)?$/

/**
 * A pattern of event names: tokens split by dots, `*` for exactly one token, `#` for zero or more, and only as the last one.
 * 1 to 200 characters.
 * @throws ConfigurationError that shows the pattern and says what is wrong
 */
export function checkPattern(pattern: unknown): string {
  if (typeof pattern === 'string' && pattern.length <= LONGEST && (pattern === '#' || PATTERN.test(pattern)))
    return pattern
  const misplaced = typeof pattern === 'string' && /#./.test(pattern)
  throw new ConfigurationError(
    `The event pattern ${shown(pattern)} is not allowed. ${
      misplaced
        ? '"#" stands for any number of tokens and may only be the last one, as in "order.#".'
        : 'Write tokens of letters, digits, _ and - split by dots, "*" for one token, "#" last for any number: "order.*.paid", "order.#"; at most 200 characters.'
    }`,
  )
}

/** Whether an event of this name is meant by the pattern, which `checkPattern` has let pass. */
export function matchesPattern(pattern: string, name: string): boolean {
  if (pattern === '#' || pattern === name) return true
  const wanted = pattern.split('.')
  const given = name.split('.')
  const open = wanted.at(-1) === '#'
  if (open) wanted.pop()
  if (open ? given.length < wanted.length : given.length !== wanted.length) return false
  return wanted.every((token, i) => token === '*' || token === given[i])
}

type Fits<P extends string, N extends string> = P extends '#'
  ? true
  : P extends `${infer H}.${infer R}`
    ? N extends `${infer NH}.${infer NR}`
      ? H extends '*' | NH
        ? Fits<R, NR>
        : false
      : R extends '#'
        ? H extends '*' | N
          ? true
          : false
        : false
    : N extends `${string}.${string}`
      ? false
      : P extends '*' | N
        ? true
        : false

type Matching<P extends string, E> = E extends Event<infer N> ? (Fits<P, N> extends true ? E : never) : never

/**
 * The events among these that a pattern means, typed: `on(match('order.#', events), …)` gets the union of their messages.
 * What is no event (a task in the same module, say) is left out.
 * @throws ConfigurationError for a pattern that is not allowed, or one that means none of them
 */
export function match<const P extends string, const R extends Record<string, unknown> | readonly Event[]>(
  pattern: P,
  among: R,
): EventPattern<Matching<P, R[keyof R]>> {
  checkPattern(pattern)
  const events = Object.values(among as object).filter(isEvent)
  const matching = events.filter(({ name }) => matchesPattern(pattern, checkEventName(name)))
  if (matching.length > 0) return { pattern, '~among': matching }
  const names = events.map(({ name }) => name).join(', ')
  throw new ConfigurationError(
    `match(${shown(pattern)}): none of the events fits. There are: ${names === '' ? 'none' : names}.`,
  )
}

function isEvent(value: unknown): value is Event {
  return typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'event'
}
