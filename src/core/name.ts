// Which characters a name may have, so that it fits every broker, file and URL.
import { ConfigurationError, ValidationError, shown } from './errors.js'

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$/
const SHORT_TEXT = 200
// oxlint-disable-next-line no-control-regex -- control characters are what is refused
const UNSTORABLE = /[\u0000-\u001f\u007f\p{Surrogate}]/u

/**
 * A task, queue or namespace name: 1 to 100 characters of A-Z, a-z, 0-9, dot, underscore, colon and dash, the first a
 * letter or digit.
 * @throws ConfigurationError that shows the name.
 */
export function checkName(what: string, name: unknown): string {
  if (typeof name === 'string' && NAME.test(name)) return name
  throw new ConfigurationError(
    `${what} ${shown(name)} is not allowed. Use 1 to 100 letters, digits and . _ : - and begin with a letter or digit, for example "mail.send".`,
  )
}

/**
 * A job id, unique key or group that a caller chose: 1 to 200 characters, none of them a control character or
 * half of a surrogate pair, which has no UTF-8 and which stores replace, so that different keys would become one.
 * @throws ValidationError that shows the text.
 */
export function checkKey(what: string, text: unknown): string {
  if (typeof text === 'string' && text.length > 0 && text.length <= SHORT_TEXT && !UNSTORABLE.test(text)) return text
  const full = shown(text)
  throw new ValidationError(
    `${what} ${full.length > 80 ? `${full.slice(0, 80)}…` : full} is not allowed. Use 1 to ${SHORT_TEXT} characters without control characters; hash longer keys.`,
  )
}
