// Bodies of requests: read once, bounded in size and time, as the bytes that were sent.
import { messageOf } from '../core/errors.js'
import { Problem } from './problem.js'

/** How much may be sent, in bytes, and for how long it may take, in milliseconds. */
export interface BodyLimits {
  readonly bodyLimit: number
  readonly timeout: number
}

/** @throws Problem 413 for more than the limit, 408 when it does not come in time */
export async function bytesOf(request: Request, { bodyLimit, timeout }: BodyLimits): Promise<Uint8Array> {
  const announced = request.headers.get('content-length')
  if (announced !== null && Number(announced) > bodyLimit) throw tooLarge(bodyLimit)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    const problem = () => reject(new Problem('ERR_REQUEST_TIMEOUT', `The body did not come within ${timeout} ms.`))
    timer = setTimeout(problem, timeout)
  })
  try {
    // A server holds a body to the length that was announced; without one it is counted while it comes.
    const body = announced === null ? counted(request, bodyLimit) : whole(request, bodyLimit)
    return await Promise.race([body, late])
  } finally {
    clearTimeout(timer)
  }
}

async function whole(request: Request, limit: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(await read(() => request.arrayBuffer()))
  if (bytes.length > limit) throw tooLarge(limit)
  return bytes
}

async function counted(request: Request, limit: number): Promise<Uint8Array> {
  const reader = request.body?.getReader()
  if (!reader) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let size = 0
  for (;;) {
    const { done, value } = (await read(() => reader.read())) as { done: boolean; value?: Uint8Array }
    if (done || value === undefined) break
    size += value.length
    if (size > limit) {
      reader.cancel().catch(() => {})
      throw tooLarge(limit)
    }
    chunks.push(value)
  }
  return Buffer.concat(chunks)
}

/** What goes wrong here went wrong on the way: the other side is gone, or a middleware has read the body before. */
async function read<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw new Problem('ERR_BAD_REQUEST', `The body could not be read: ${messageOf(error)}`)
  }
}

function tooLarge(limit: number): Problem {
  return new Problem('ERR_PAYLOAD_TOO_LARGE', `The body is larger than ${limit} bytes, which is the limit.`)
}

/** Text in UTF-8. @throws Problem 400 */
export function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new Problem('ERR_BAD_REQUEST', 'The body is no text in UTF-8.')
  }
}

/** @throws Problem 400 */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new Problem('ERR_BAD_REQUEST', `The body is no JSON: ${messageOf(error)}`)
  }
}

/** A media type without its parameters, in lower case; `''` for none. */
export function mediaType(contentType: string | null): string {
  return (contentType ?? '').split(';', 1)[0]!.trim().toLowerCase()
}

/** `application/json` and the like: `application/problem+json`, `text/json`. */
export function isJson(type: string): boolean {
  return /^[^/]+\/(?:[^+]+\+)?json$/.test(type)
}
