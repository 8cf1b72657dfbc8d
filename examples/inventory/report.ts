// The summary at the end: a table for people, one line of JSON for programs.
import { count, printable, size } from './format.js'
import type { Totals } from './tally.js'

export interface Summary extends Totals {
  readonly folder: string
  readonly db: string
  /** The same database for the `millrace` command. */
  readonly url: string
  readonly seconds: number
}

const TYPES = 15

export function reportJson({ listed, bytes, dead, seconds }: Summary): string {
  return JSON.stringify({ files: listed, bytes, dead, seconds: Number(seconds.toFixed(3)) })
}

export function report(s: Summary): string {
  return [
    `Inventory of ${printable(s.folder)}`,
    '',
    `  files     ${count(s.listed)} (${count(s.listed - s.known)} new, ${count(s.known)} known before)`,
    `  bytes     ${size(s.bytes)} (${count(s.bytes)} bytes)`,
    `  dead      ${count(s.dead)}`,
    `  time      ${s.seconds.toFixed(1)} s (${count(s.worked)} jobs worked, ${count(s.worked / s.seconds)} jobs/s)`,
    `  database  ${printable(s.db)}`,
    '',
    ...byType(s),
    ...deadFiles(s),
    `Every file has its job: npx millrace jobs list --url ${s.url}`,
  ].join('\n')
}

function byType({ types }: Summary): string[] {
  const sorted = [...types].sort(([, a], [, b]) => b.files - a.files || b.bytes - a.bytes)
  const rows = sorted.slice(0, TYPES)
  const rest = sorted.slice(TYPES).map(([, sum]) => sum)
  if (rest.length > 0)
    rows.push([
      `others (${rest.length} types)`,
      { files: rest.reduce((sum, one) => sum + one.files, 0), bytes: rest.reduce((sum, one) => sum + one.bytes, 0) },
    ])
  if (rows.length === 0) return []
  const width = Math.max(...rows.map(([type]) => type.length))
  return [
    ...rows.map(
      ([type, sum]) => `  ${type.padEnd(width)}  ${count(sum.files).padStart(9)}  ${size(sum.bytes).padStart(10)}`,
    ),
    '',
  ]
}

function deadFiles({ dead: total, examples, url }: Summary): string[] {
  if (total === 0) return []
  const more = total - examples.length
  return [
    'Without a result, and tried again the next time:',
    ...examples.map(({ path, reason }) => `  ${printable(path)}\n    ${printable(reason)}`),
    ...(more > 0 ? [`  and ${count(more)} more: npx millrace jobs list --state dead --url ${url}`] : []),
    '',
  ]
}
