// How jobs are shown: a line each in a table, or everything about one.
import type { JobInfo, JobLine } from '../client/types.js'
import { formatDuration } from '../core/duration.js'
import { harmless, oneLine } from './fail.js'
import type { Told } from './follow.js'
import { paint, print, relative, type Column, type Style } from './print.js'

/** The state as a person sees it: waiting for another attempt is told apart from waiting for its time. */
function shownState(job: JobInfo): string {
  if (job.state === 'scheduled' && job.attempt > 0 && !job.blocked) return 'retrying'
  if (job.cancelling) return 'cancelling'
  return job.state
}

/** Why a job waits although a worker had it. */
const BLOCKED = {
  'no-handler': (job: JobInfo) => `no worker for "${job.name}"`,
  later: () => 'put off by its handler',
  limit: () => "waits for its handler's own limit",
  stop: () => 'given back by a worker that stopped',
} as const

function remarkOf(job: JobInfo): string {
  if (job.blocked) return BLOCKED[job.blocked.why](job)
  const last = job.errors.at(-1)
  // What goes without saying would push the message off the line.
  const reason = job.reason === undefined || job.reason === 'failed' ? '' : `${job.reason}: `
  const name = last?.name === 'Error' ? '' : `${last?.name}: `
  if (last && job.state !== 'completed') return `${reason}${name}${last.message}`
  return job.note ?? ''
}

const STYLES: Readonly<Record<string, Style>> = {
  completed: 'green',
  dead: 'red',
  retrying: 'yellow',
  active: 'cyan',
  cancelling: 'yellow',
  cancelled: 'dim',
}

export const JOB_COLUMNS: readonly Column<JobInfo>[] = [
  { title: 'ID', text: (job) => job.id },
  { title: 'TASK', text: (job) => job.name },
  { title: 'QUEUE', text: (job) => job.queue, spare: 3 },
  { title: 'STATE', text: shownState, style: (job) => STYLES[shownState(job)] },
  { title: 'ATTEMPT', text: (job) => String(job.attempt), right: true },
  {
    title: 'AGE',
    text: (job) => formatDuration(Math.max(0, Date.now() - job.enqueuedAt.getTime())),
    right: true,
    spare: 2,
  },
  { title: 'DUE/DONE', text: when, spare: 1 },
  { title: 'REMARK', text: remarkOf, style: (job) => (job.state === 'dead' ? 'red' : 'dim') },
]

/** When it ended; for a job that waits, when it is due or was. */
function when(job: JobInfo): string {
  if (job.finishedAt) return relative(job.finishedAt)
  return job.state === 'active' ? '-' : relative(job.dueAt)
}

/** Lines of log that are shown with a job. */
const SHOWN_LINES = 20

/** Everything about a job, for reading. */
export function printJob(job: JobInfo, lines: readonly JobLine[]): void {
  const state = shownState(job)
  const facts: [string, string | undefined][] = [
    ['id', job.id],
    ['task', job.name],
    ['queue', job.queue],
    ['state', STYLES[state] ? paint(STYLES[state], state) : state],
    ['reason', job.reason],
    ['blocked', job.blocked && `${BLOCKED[job.blocked.why](job)}, since ${moment(job.blocked.since)}`],
    ['attempt', String(job.attempt)],
    ['run', String(job.run)],
    ['crashes', job.crashes > 0 ? String(job.crashes) : undefined],
    ['suspect', job.suspect ? 'a worker died with this job in hand' : undefined],
    ['priority', String(job.priority)],
    ['progress', job.progress === undefined ? undefined : `${Math.round(job.progress * 100)} %`],
    ['note', job.note],
    ['group', job.group],
    ['unique key', job.uniqueKey],
    ['worker', job.worker],
    ['enqueued', moment(job.enqueuedAt)],
    ['due', moment(job.dueAt)],
    ['started', job.startedAt && moment(job.startedAt)],
    ['finished', job.finishedAt && moment(job.finishedAt)],
    ...Object.entries(job.headers).map(([name, value]): [string, string] => [`header ${name}`, value]),
  ]
  const width = Math.max(...facts.map(([name, value]) => (value === undefined ? 0 : name.length)))
  for (const [name, value] of facts)
    if (value !== undefined) print(`${paint('dim', name.padEnd(width))}  ${name === 'state' ? value : oneLine(value)}`)
  printValue('input', job.input)
  printValue('output', job.output)
  for (const error of job.errors) {
    print(`\n${paint('bold', 'error')} ${moment(error.at)}`)
    // A stack begins with the name and message.
    print(indented(error.stack ?? `${error.name}: ${error.message}`))
  }
  printLines(lines)
}

function printLines(lines: readonly JobLine[]): void {
  if (lines.length === 0) return
  const shown = lines.slice(-SHOWN_LINES)
  const which = shown.length < lines.length ? ` the newest ${shown.length} of ${lines.length}; --json has all` : ''
  print(`\n${paint('bold', 'log')}${which}`)
  for (const { at, level, attempt, text } of shown)
    print(`  ${at.toISOString()} ${painted(level)} ${said(attempt)} ${harmless(text)}`)
}

const said = (attempt: number) => paint('dim', `attempt ${attempt}`)

const LEVELS: Readonly<Record<string, Style>> = { warn: 'yellow', error: 'red' }

function painted(level: string): string {
  const style = LEVELS[level]
  return style === undefined ? level.padEnd(5) : paint(style, level.padEnd(5))
}

/** The longest word of `follow`, `cancelling`. */
const WORD = 10

/** One thing that happened to a job that is watched. */
export function printTold(told: Told): void {
  const time = paint('dim', told.at.toISOString().slice(11, 23))
  const line = (word: string, style: Style | undefined, text: string) => {
    const padded = word.padEnd(WORD)
    print(`${time}  ${style === undefined ? padded : paint(style, padded)}  ${oneLine(text)}`.trimEnd())
  }
  if (told.kind === 'line') line(told.level, LEVELS[told.level], told.text)
  else if (told.kind === 'progress')
    line('progress', undefined, `${Math.round(told.progress * 100)} % ${told.note ?? ''}`)
  else line(shownState(told.job), STYLES[shownState(told.job)], whatOf(told.job))
}

/** What there is to say of a state. */
function whatOf(info: JobInfo): string {
  if (info.state === 'active')
    return `attempt ${info.attempt}${info.worker === undefined ? '' : `, worker ${info.worker}`}`
  if (info.state === 'completed') return info.output === undefined ? '' : JSON.stringify(info.output)
  const due = info.state === 'scheduled' ? [relative(info.dueAt)] : []
  return [...due, remarkOf(info)].filter((text) => text !== '').join(': ')
}

function printValue(title: string, value: unknown): void {
  if (value === undefined) return
  print(`\n${paint('bold', title)}`)
  print(indented(JSON.stringify(value, null, 2)))
}

function moment(date: Date): string {
  return `${date.toISOString()} (${relative(date)})`
}

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${harmless(line)}`)
    .join('\n')
}
