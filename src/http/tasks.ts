// POST /tasks/{name}: one job, checked as one from code is; on request its result.
import type { EnqueueOptions } from '../client/types.js'
import { canonical, decode } from '../core/codec.js'
import { parseDuration } from '../core/duration.js'
import { messageOf } from '../core/errors.js'
import { isFinished, type Priority } from '../core/job.js'
import { checkKey } from '../core/name.js'
import type { JobRecord } from '../driver/driver.js'
import { json } from './answer.js'
import { enqueueBare } from './bare-tasks.js'
import { bytesOf, isJson, jsonOf, mediaType, textOf } from './body.js'
import type { OfferedTask } from './catalogue.js'
import type { Admitted, House } from './context.js'
import { idOfKey } from './idempotency.js'
import { jobView, waitFor } from './jobs.js'
import { waitOf } from './prefer.js'
import { Problem } from './problem.js'
import { traceIn } from './trace.js'

export async function enqueueTask(house: House, admitted: Admitted, name: string): Promise<Response> {
  const { request, url, caller } = admitted
  const { settings, parts, flow } = house
  const seconds = waitOf(request.headers, settings.maxWait)
  caller.needs('enqueue')
  if (seconds > 0) caller.needs('read')
  if (!caller.mayTask(name)) throw new Problem('ERR_FORBIDDEN', `This token may not enqueue the task "${name}".`)
  const asked = optionsOf(url.searchParams)
  const id = idOfKey(request.headers, name)
  const input = inputOf(request.headers, await bytesOf(request, settings))
  const offered = await taskNamed(house, name, asked)

  const headers = traceIn((header) => request.headers.get(header))
  const options: EnqueueOptions = { ...asked, headers, ...(id !== undefined && { id }) }
  const driver = await flow.read(parts.session.open())
  if (!driver.traits.remembers) return enqueueBare(house, driver, { request, offered, input, options, seconds })
  const job = await flow.write(parts.core.enqueue<any, unknown>(offered.task, input, options))
  const location = { location: `${settings.basePath}/jobs/${encodeURIComponent(job.id)}` }
  const answer = { id: job.id, duplicate: job.duplicate }
  const record = job.duplicate || seconds > 0 ? await recordOf(house, job.id) : undefined
  if (job.duplicate && job.id === id && record) sameInput(record, input)
  if (!record || seconds === 0) return json(202, answer, location)
  if (isFinished(record.state)) return json(200, { ...answer, ...jobView(record) }, location)

  const { record: later, waited } = await waitFor(house, request, record, seconds)
  const applied = waited ? { 'preference-applied': `wait=${seconds}` } : {}
  const status = isFinished(later.state) ? 200 : 202
  return json(status, { ...answer, ...jobView(later) }, { ...location, ...applied })
}

async function taskNamed({ catalogue, flow }: House, name: string, asked: EnqueueOptions): Promise<OfferedTask> {
  const offered = await flow.read(catalogue.task(name))
  if (!offered)
    throw new Problem(
      'ERR_TASK_NOT_FOUND',
      `There is no task "${name}". A task is known once a worker with it ran, or \`millrace setup\` declared it.`,
    )
  if (offered.needsCode && asked.unique === undefined && asked.group === undefined)
    throw new Problem(
      'ERR_UNSUPPORTED',
      `Task "${name}" makes unique keys or groups in code, which this gateway does not have. Give it the task's definition (\`tasks\`, or --file), or send ?unique= or ?group=.`,
    )
  return offered
}

async function recordOf({ parts, flow }: House, id: string): Promise<JobRecord | undefined> {
  const { jobs } = await parts.session.open()
  const [record] = await flow.read(jobs.get({ ids: [id] }))
  return record
}

/** @throws Problem 422 when the standing job was asked for with another input */
function sameInput({ envelope }: JobRecord, input: unknown): void {
  const standing = decode(envelope.body, 'The input')
  const same =
    standing === undefined || input === undefined ? standing === input : canonical(standing) === canonical(input)
  if (same) return
  throw new Problem(
    'ERR_IDEMPOTENCY_KEY',
    'This Idempotency-Key was used for this task with another input. Use a key for one request only.',
  )
}

/** An empty body is no input. @throws Problem 400 or 415 */
function inputOf(headers: Headers, bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined
  const type = mediaType(headers.get('content-type'))
  if (!isJson(type))
    throw new Problem(
      'ERR_MEDIA_TYPE',
      `${type === '' ? 'The input has no Content-Type' : `The input is ${type}`}; send application/json.`,
    )
  return jsonOf(textOf(bytes))
}

const QUERY = ['delay', 'priority', 'unique', 'group']

/** @throws Problem 400 that names the parameter and its value */
function optionsOf(query: URLSearchParams): Pick<EnqueueOptions, 'delay' | 'priority' | 'unique' | 'group'> {
  const given = [...query]
  const stray = given.find(([name]) => !QUERY.includes(name))
  if (stray) throw wrong(stray[0], `there is no such parameter. The parameters are: ${QUERY.join(', ')}`)
  const twice = given.find(([name], i) => given.findIndex(([other]) => other === name) !== i)
  if (twice) throw wrong(twice[0], 'it is there twice')
  const [delay, priority, unique, group] = QUERY.map((name) => query.get(name) ?? undefined)
  return {
    ...(delay !== undefined && { delay: delayOf(delay) }),
    ...(priority !== undefined && { priority: priorityOf(priority) }),
    ...(unique !== undefined && { unique: attempt('unique', () => checkKey('The unique key', unique)) }),
    ...(group !== undefined && { group: attempt('group', () => checkKey('The group', group)) }),
  }
}

function delayOf(text: string): number {
  try {
    return parseDuration(text)
  } catch {
    throw wrong('delay', `"${text}" is no duration; give a number with a unit: 500ms, 30s, 5m, 2h, 7d or 1w`)
  }
}

function priorityOf(text: string): Priority {
  if (/^[0-9]$/.test(text)) return Number(text) as Priority
  throw wrong('priority', `"${text}" is no whole number from 0 to 9`)
}

function attempt<T>(name: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw wrong(name, messageOf(error).replace(/\.$/, ''))
  }
}

function wrong(name: string, why: string): Problem {
  return new Problem('ERR_BAD_REQUEST', `Query parameter "${name}": ${why}.`)
}
