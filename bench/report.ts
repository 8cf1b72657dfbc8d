// Figures as JSON lines, as a table for a terminal, or as the table of docs/performance.md.
import { cpus, loadavg, release, type } from 'node:os'
import type { Arguments } from './arguments.js'
import { DRIVERS } from './drivers.js'
import { BASELINE, type Figure } from './figure.js'

/** What a figure depends on besides the code. */
export interface Machine {
  readonly node: string
  readonly os: string
  readonly cpu: string
  readonly cores: number
  readonly filesystem: string
  /** How many processes wanted a core in the minute before it began: above 0.5 the figures are those of a busy machine. */
  readonly load: number
  readonly [version: string]: string | number
}

export function machineOf(o: { driver: string; filesystem: string }): Machine {
  const [cpu] = cpus()
  return {
    node: process.version,
    os: `${type()} ${release()}`,
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: cpus().length,
    filesystem: o.filesystem,
    load: Number(loadavg()[0]!.toFixed(2)),
    ...DRIVERS[o.driver]!.versions(),
  }
}

export function jsonLine(figure: Figure, o: Arguments, machine: Machine): string {
  const { case: one, counted, ...rest } = figure
  const { millrace, ...ofOthers } = counted
  return JSON.stringify(
    {
      case: one.name,
      driver: o.driver,
      value: rest.value,
      unit: one.unit,
      min: rest.min,
      max: rest.max,
      ...rest.also,
      peers: rest.peers,
      ...(rest.baseline !== undefined && { baseline: rest.baseline, ratio: rest.ratios[BASELINE] }),
      ratios: rest.ratios,
      targets: rest.targets,
      jobs: rest.jobs,
      runs: o.runs,
      quick: o.quick,
      durability: o.durability,
      peerDurability: durabilityOfPeers(figure, o),
      counted: millrace,
      otherCounts: ofOthers,
      ...machine,
    },
    (_key, value: unknown) => (typeof value === 'number' ? Number(value.toPrecision(6)) : value),
  )
}

function durabilityOfPeers({ peers }: Figure, { driver }: Arguments): Record<string, string> {
  const measured = DRIVERS[driver]!.peers.filter(({ name }) => name in peers)
  return Object.fromEntries(measured.map(({ name, durability }) => [name, durability]))
}

const HEADINGS = ['Case', 'Millrace', 'Least to most', 'Others (Millrace is … times as good)', 'Target'] as const

function cellsOf(figure: Figure, code: (text: string) => string): string[] {
  const { unit, name } = figure.case
  const show = (value: number) => withUnit(value, unit)
  const others = { ...figure.peers, ...(figure.baseline !== undefined && { [BASELINE]: figure.baseline }) }
  const targets = figure.targets.map(({ of, least, most, met }) => {
    const bound = least ?? most!
    const sign = least === undefined ? 'at most' : 'at least'
    const text = of === 'value' ? `${sign} ${show(bound)}` : `${sign} ${bound} x ${of}`
    return `${text}: ${met ? 'met' : 'missed'}`
  })
  return [
    code(name),
    show(figure.value) + (figure.also['p99'] === undefined ? '' : `, p99 ${show(figure.also['p99'])}`),
    `${number(figure.min, unit)} to ${number(figure.max, unit)}`,
    Object.entries(others)
      .map(([peer, value]) => `${peer} ${show(value)} (${ratio(figure.ratios[peer]!)} x)`)
      .join(', ') || '-',
    targets.join('; ') || '-',
  ]
}

/** A table with columns aligned: plain for a terminal, or Markdown as Prettier would leave it. */
export function table(figures: readonly Figure[], form: 'table' | 'markdown'): string {
  const markdown = form === 'markdown'
  const code = (text: string) => (markdown ? `\`${text}\`` : text)
  const rows = [[...HEADINGS], ...figures.map((figure) => cellsOf(figure, code))]
  const widths = HEADINGS.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  const lines = rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i]!)))
  if (!markdown) return lines.map((cells) => cells.join('  ').trimEnd()).join('\n')
  lines.splice(
    1,
    0,
    widths.map((width) => '-'.repeat(width)),
  )
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** The line under a table: what the figures depend on. */
export function conditions(o: Arguments, machine: Machine): string {
  const { node, os, cpu, cores, filesystem, load, ...versions } = machine
  const peers = DRIVERS[o.driver]!.peers.map(({ product, durability }) => `${product} (${durability})`)
  const of = o.runs === 1 ? 'one run' : `median of ${o.runs} runs`
  return (
    `${of}, driver ${o.driver}, durability ${o.durability}; beside it ${peers.join(' and ')}. ` +
    `Node ${node}, ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}, ${os}, ` +
    `${cpu}, ${cores} cores, ${filesystem}, load ${load} before.`
  )
}

function withUnit(value: number, unit: string): string {
  return unit === '% of a core' ? `${number(value, unit)} %` : `${number(value, unit)} ${unit}`
}

function number(value: number, unit: string): string {
  if (unit === 'jobs/s') return Math.round(Number(value.toPrecision(3))).toLocaleString('en-US')
  return value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0)
}

const ratio = (value: number) => (value < 10 ? value.toFixed(2) : Math.round(value).toLocaleString('en-US'))
