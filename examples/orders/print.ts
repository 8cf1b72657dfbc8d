// What the demo prints: titles, what it does itself, and the lines of the programs that it has started.
import { styleText } from 'node:util'

const paint = (style: 'bold' | 'dim' | 'cyan', text: string) =>
  styleText(style, text, { validateStream: true, stream: process.stdout })

export function title(text: string, about?: string): void {
  console.log(`\n${paint('bold', `── ${text}`)}${about === undefined ? '' : paint('dim', `: ${about}`)}`)
}

export function say(line: string): void {
  console.log(line)
}

/** A line of a program; its name stands in front. */
export function showLine(name: string, line: string): void {
  console.log(name === '' ? `  ${line}` : `${paint('cyan', `${name.padStart(8)} │`)} ${line}`)
}
