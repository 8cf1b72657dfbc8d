// JSON that a command is given: as an argument, or on standard input.
import { UsageError } from './fail.js'

/** The value of a JSON text, or of standard input where the text is `-`. @throws UsageError for what is no JSON */
export async function jsonOf(text: string | undefined, what: 'input' | 'payload'): Promise<unknown> {
  const json = text === '-' ? await readAll(process.stdin) : text
  if (json === undefined) return undefined
  try {
    return JSON.parse(json) as unknown
  } catch (error) {
    const shown = json.length > 60 ? `${json.slice(0, 60)}…` : json
    throw new UsageError(
      `The ${what} is no JSON: ${(error as Error).message}. Given: ${shown === '' ? 'nothing' : shown}. Text needs double quotes: '"text"'.`,
    )
  }
}

async function readAll(stream: NodeJS.ReadStream): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
