// What commands print: results on standard output, remarks on standard error; colour and cutting only on a terminal.
import { styleText } from 'node:util'
import { formatDuration } from '../core/duration.js'
import { oneLine } from './fail.js'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** A result. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** One JSON value on one line. Dates are written in ISO 8601. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value))
}

/** A remark for the person who watches. */
export function remark(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** Coloured when standard output is a terminal, and NO_COLOR does not forbid it. */
export function paint(style: Style, text: string): string {
  return styleText(style, text, { validateStream: true, stream: process.stdout })
}

export interface Column<Row> {
  readonly title: string
  readonly text: (row: Row) => string
  readonly style?: (row: Row) => Style | undefined
  /** Numbers stand on the right. */
  readonly right?: boolean
  /** Left out where the terminal is too narrow to show the last column; the highest number first. */
  readonly spare?: number
}

/** The last column should have room for so many characters. */
const ROOM = 40

/** An aligned table. On a terminal the last column is cut where the line ends, and spare columns make room for it. */
export function printTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): void {
  const spare = columns.reduce<Column<Row> | undefined>(
    (most, one) => ((one.spare ?? 0) > (most?.spare ?? 0) ? one : most),
    undefined,
  )
  const cells = rows.map((row) => columns.map((column) => oneLine(column.text(row))))
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...cells.map((row) => row[i]!.length)))
  const last = columns.length - 1
  const before = widths.slice(0, last).reduce((sum, width) => sum + width + 2, 0)
  const room = process.stdout.isTTY ? Math.max(10, process.stdout.columns - before) : Infinity
  if (room < ROOM && spare)
    return printTable(
      columns.filter((column) => column !== spare),
      rows,
    )
  const fit = (text: string, i: number) => {
    if (i === last && columns[i]!.right !== true) return cut(text, room)
    return columns[i]!.right === true ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)
  }
  const header = columns.map(({ title }, i) => fit(title, i)).join('  ')
  print(paint('bold', header.trimEnd()))
  rows.forEach((row, r) => {
    const line = columns.map((column, i) => {
      const text = fit(cells[r]![i]!, i)
      const style = column.style?.(row)
      return style === undefined ? text : paint(style, text)
    })
    print(line.join('  ').trimEnd())
  })
}

/** The text in lines that fit a terminal beside an indent; elsewhere one line. */
export function wrap(text: string, indent: number): readonly string[] {
  const room = process.stdout.isTTY ? Math.max(20, process.stdout.columns - indent) : Infinity
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > room) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}

function cut(text: string, room: number): string {
  return text.length <= room ? text : `${text.slice(0, room - 1)}…`
}

/** `3m ago`, `in 5s`. */
export function relative(date: Date, now = Date.now()): string {
  const ms = date.getTime() - now
  return ms > 0 ? `in ${formatDuration(ms)}` : `${formatDuration(-ms)} ago`
}

/** `1 job`, `2 jobs`. */
export function count(n: number, thing: string): string {
  return `${n} ${thing}${n === 1 ? '' : 's'}`
}
