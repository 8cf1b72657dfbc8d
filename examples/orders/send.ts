// One request, sent with curl and shown as the command that sends it.
import { spawn } from 'node:child_process'
import { say } from './print.js'

export interface Answer {
  readonly status: number
  readonly body: unknown
}

export interface RequestParts {
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
  /** It was sent before, and is asked again: the command is not shown once more. */
  readonly again?: boolean
  /** This answer is not shown, for it is asked again. */
  readonly quietOn?: number | undefined
}

/** @throws Error when curl is not there, or gets no answer */
export async function send(url: string, method: string, path: string, parts: RequestParts): Promise<Answer> {
  const { headers, body, again = false, quietOn } = parts
  const args = ['-X', method, `${url}${path}`]
  for (const [name, value] of Object.entries(headers)) args.push('-H', `${name}: ${value}`)
  if (body !== undefined) args.push('-d', JSON.stringify(body))
  if (!again) say(`$ curl ${args.map(quoted).join(' ')}`)
  const output = await curl(['-sS', '-w', '\n%{http_code}', ...args])
  const end = output.lastIndexOf('\n')
  const [text, status] = [output.slice(0, end), Number(output.slice(end + 1))]
  if (status !== quietOn) say(`  ${status}  ${text}`)
  return { status, body: text === '' ? undefined : (JSON.parse(text) as unknown) }
}

const quoted = (text: string) => (/^[\w/:.~%-]+$/.test(text) ? text : `'${text}'`)

function curl(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('curl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let [output, errors] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    child.on('error', (cause) =>
      reject(new Error('This demo sends its requests with curl: please install it.', { cause })),
    )
    child.on('close', (code) => (code === 0 ? resolve(output) : reject(new Error(`curl: ${errors.trim()}`))))
  })
}
