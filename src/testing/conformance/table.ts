// The conformance table: rows are promises, columns are drivers. Made from results, so it cannot say more than was run.
import type { CaseResult, PromiseId } from './case.js'

const TITLES: Readonly<Record<string, string>> = {
  P1: 'durable, or an error',
  P2: 'at least once, settled once',
  P3: 'crash recovery in seconds',
  P4: 'bounded stop',
  P5: 'retries',
  P6: 'timeouts',
  P7: 'cancel and find from any process',
  P8: 'delay',
  P9: 'priority',
  P10: 'unique',
  P11: 'results',
  P12: 'bounded',
  P13: 'validated twice',
  P14: 'no handler here',
  P15: 'pause',
  P16: 'bounded storage',
  P17: 'quiet',
  P18: 'no silent no',
  P19: 'heals',
  P20: 'fan-out',
  P21: 'each tick once',
  seam: 'what they stand on',
}

/** The table as Markdown: a summary by promise, then every case. */
export function conformanceTable(results: readonly CaseResult[]): string {
  const drivers = [...new Set(results.map((one) => one.driver))].sort()
  const promises = Object.keys(TITLES).filter((promise) =>
    results.some((one) => one.promise === promise),
  ) as PromiseId[]
  const summary = promises.map((promise) => {
    const cells = drivers.map((driver) =>
      cell(results.filter((one) => one.promise === promise && one.driver === driver)),
    )
    return row([`**${promise}** ${TITLES[promise]}`, ...cells])
  })
  const names = promises.flatMap((promise) => [
    ...new Map(results.filter((one) => one.promise === promise).map((one) => [one.name, one])).values(),
  ])
  const notes = new Map<string, number>()
  const cases = names.map(({ promise, level, name }) => {
    const cells = drivers.map((driver) =>
      mark(
        results.find((one) => one.driver === driver && one.name === name),
        notes,
      ),
    )
    return row([promise, level, name, ...cells])
  })
  return [
    row(['Promise', ...drivers]),
    row(['---', ...drivers.map(() => '---')]),
    ...summary,
    '',
    row(['', 'Level', 'Case', ...drivers]),
    row(['---', '---', '---', ...drivers.map(() => '---')]),
    ...cases,
    '',
    ...[...notes].map(([reason, n]) => `${n}. Does not apply: ${reason}.`),
    '',
  ].join('\n')
}

function cell(results: readonly CaseResult[]): string {
  const count = (status: CaseResult['status']) => results.filter((one) => one.status === status).length
  const parts = [
    `${count('passed')} passed`,
    ...(count('failed') > 0 ? [`${count('failed')} FAILED`] : []),
    ...(count('skipped') > 0 ? [`${count('skipped')} skipped`] : []),
  ]
  return results.length === 0 ? 'not run' : parts.join(', ')
}

function mark(result: CaseResult | undefined, notes: Map<string, number>): string {
  if (!result) return 'not run'
  if (result.status !== 'skipped') return result.status === 'passed' ? 'passed' : 'FAILED'
  const reason = result.reason ?? 'no reason given'
  if (!notes.has(reason)) notes.set(reason, notes.size + 1)
  return `skipped (${notes.get(reason)})`
}

const row = (cells: readonly string[]) => `| ${cells.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`
