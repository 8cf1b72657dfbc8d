// GET /openapi.json: OpenAPI 3.1 of what a caller may do here, made from the schemas of tasks and events.
// Source: https://spec.openapis.org/oas/v3.1.1.html
import { BATCH_TYPE } from './cloud-events.js'
import { CLOUD_EVENT_TYPE } from '../core/cloud-event.js'
import { JOB_STATES } from '../core/job.js'
import type { KnownEvent, OfferedTask } from './catalogue.js'

type Json = Record<string, unknown>

export interface Described {
  readonly basePath: string
  readonly hasTokens: boolean
  readonly tasks: readonly OfferedTask[]
  readonly events: readonly KnownEvent[]
  /** Other events are taken as well. */
  readonly takesOthers: boolean
  readonly webhooks: readonly string[]
}

export function openApi(o: Described): Json {
  const schemas = createComponents()
  const problem = response('What is wrong', { $ref: '#/components/schemas/Problem' }, 'application/problem+json')
  const paths: Record<string, Json> = {}
  for (const one of o.tasks) paths[`/tasks/${one.task.name}`] = { post: taskOperation(one, schemas, problem) }
  paths['/events'] = { post: eventsOperation(o, schemas, problem) }
  paths['/jobs/{id}'] = jobOperations(problem)
  for (const name of o.webhooks) paths[`/webhooks/${name}`] = { post: webhookOperation(name, problem) }
  return {
    openapi: '3.1.0',
    info: { title: 'Millrace gateway', version: '1', description: 'Jobs and events over HTTP.' },
    servers: [{ url: o.basePath === '' ? '/' : o.basePath }],
    ...(o.hasTokens && { security: [{ token: [] }] }),
    paths,
    components: {
      schemas: { ...FIXED, ...schemas.all },
      ...(o.hasTokens && { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } }),
    },
  }
}

function taskOperation(
  { task, takesInput, inputSchema, outputSchema }: OfferedTask,
  schemas: Components,
  problem: Json,
) {
  const { name } = task
  const job =
    outputSchema === undefined
      ? JOB
      : { allOf: [JOB, { type: 'object', properties: { result: schemas.add(`${name}.result`, outputSchema) } }] }
  return {
    operationId: `enqueue:${name}`,
    summary: `Queue a job of the task ${name}`,
    parameters: [
      query('delay', 'Not before so long from now', { type: 'string', examples: ['30s', '5m', '2h'] }),
      query('priority', '9 is first', { type: 'integer', minimum: 0, maximum: 9 }),
      query('unique', 'At most one unfinished job of the task with this key', TEXT),
      query('group', 'The group, for example the tenant', TEXT),
      header('Idempotency-Key', 'The same key is the same job', { type: 'string', minLength: 1, maxLength: 255 }),
      PREFER,
    ],
    ...(takesInput && {
      requestBody: {
        required: true,
        content: {
          'application/json': { schema: inputSchema === undefined ? {} : schemas.add(`${name}.input`, inputSchema) },
        },
      },
    }),
    responses: {
      200: response('The job has finished within the time that Prefer gave it', job),
      202: {
        ...response('The job is durable', { $ref: '#/components/schemas/Accepted' }),
        headers: { Location: { description: 'Where the job is', schema: { type: 'string' } } },
      },
      default: problem,
    },
  }
}

function eventsOperation({ events, takesOthers }: Described, schemas: Components, problem: Json) {
  const known = events.map(({ name, schema, jsonSchema }) => ({
    allOf: [
      EVENT,
      {
        type: 'object',
        properties: {
          type: { const: name },
          ...(schema !== undefined && jsonSchema !== undefined && { data: schemas.add(`${name}.payload`, jsonSchema) }),
        },
      },
    ],
  }))
  const event = known.length === 0 ? EVENT : { anyOf: [...known, ...(takesOthers ? [EVENT] : [])] }
  return {
    operationId: 'publish',
    summary: 'Publish CloudEvents: one as JSON, several as a JSON list, or one in ce-* headers and body',
    requestBody: {
      required: true,
      content: {
        [CLOUD_EVENT_TYPE]: { schema: event },
        [BATCH_TYPE]: { schema: { type: 'array', items: event } },
        '*/*': { schema: {} },
      },
    },
    responses: {
      202: response('All of them are durable', { $ref: '#/components/schemas/Published' }),
      default: problem,
    },
  }
}

function jobOperations(problem: Json) {
  return {
    parameters: [{ name: 'id', in: 'path', required: true, description: 'Id of the job', schema: { type: 'string' } }],
    get: {
      operationId: 'readJob',
      summary: 'How a job stands, and its result once there is one',
      parameters: [PREFER],
      responses: { 200: response('The job', JOB), default: problem },
    },
    delete: {
      operationId: 'cancelJob',
      summary: 'Cancel a job',
      responses: {
        200: response('It is cancelled', JOB),
        202: response('It runs, and its handler has been told', JOB),
        default: problem,
      },
    },
  }
}

function webhookOperation(name: string, problem: Json) {
  return {
    operationId: `webhook:${name}`,
    summary: `For the sender ${name}, who signs its requests`,
    security: [],
    requestBody: { required: true, content: { '*/*': { schema: {} } } },
    responses: {
      200: { description: 'It came before, or is of no interest here' },
      202: { description: 'It is durable' },
      default: problem,
    },
  }
}

const TEXT = { type: 'string', minLength: 1, maxLength: 200 }
const JOB = { $ref: '#/components/schemas/Job' }
const EVENT = { $ref: '#/components/schemas/CloudEvent' }
const PREFER = header('Prefer', 'How many seconds to wait for the job to finish', {
  type: 'string',
  examples: ['wait=10'],
})

function query(name: string, description: string, schema: Json): Json {
  return { name, in: 'query', required: false, description, schema }
}

function header(name: string, description: string, schema: Json): Json {
  return { name, in: 'header', required: false, description, schema }
}

function response(description: string, schema: Json, type = 'application/json'): Json {
  return { description, content: { [type]: { schema } } }
}

const time = { type: 'string', format: 'date-time' }
const text = { type: 'string' }

const FIXED: Json = {
  Accepted: {
    type: 'object',
    required: ['id', 'duplicate'],
    properties: {
      id: text,
      duplicate: { type: 'boolean', description: 'The job was there before' },
      state: { enum: JOB_STATES },
    },
  },
  Job: {
    type: 'object',
    required: ['id', 'task', 'state', 'attempt', 'cancelling', 'enqueuedAt', 'dueAt'],
    properties: {
      id: text,
      duplicate: { type: 'boolean' },
      task: text,
      state: { enum: JOB_STATES },
      attempt: { type: 'integer', minimum: 0 },
      cancelling: { type: 'boolean' },
      progress: { type: 'number' },
      note: text,
      reason: text,
      result: {},
      error: { type: 'object', required: ['name', 'message'], properties: { name: text, message: text } },
      enqueuedAt: time,
      dueAt: time,
      startedAt: time,
      finishedAt: time,
    },
  },
  Published: {
    type: 'object',
    required: ['events'],
    properties: {
      events: {
        type: 'array',
        items: {
          type: 'object',
          required: ['id', 'duplicate'],
          properties: { id: text, duplicate: { type: 'boolean' } },
        },
      },
    },
  },
  CloudEvent: {
    type: 'object',
    required: ['specversion', 'id', 'source', 'type'],
    properties: {
      specversion: { const: '1.0' },
      id: text,
      source: { type: 'string', format: 'uri-reference' },
      type: text,
      subject: text,
      time,
      datacontenttype: text,
      dataschema: { type: 'string', format: 'uri' },
      data: {},
      data_base64: { type: 'string', contentEncoding: 'base64' },
    },
  },
  Problem: {
    type: 'object',
    required: ['type', 'title', 'status', 'detail', 'code'],
    properties: {
      type: text,
      title: text,
      status: { type: 'integer' },
      detail: text,
      code: text,
      outcome: { enum: ['not-sent', 'unknown'] },
      issues: {
        type: 'array',
        items: { type: 'object', required: ['path', 'message'], properties: { path: text, message: text } },
      },
    },
  },
}

interface Components {
  readonly all: Json
  /** Answers the reference to it. */
  add(name: string, schema: Json): Json
}

/** Schemas of their own, each of which refers to parts of itself from its own root. */
function createComponents(): Components {
  const all: Json = {}
  return {
    all,
    add(name, schema) {
      let key = name.replace(/[^A-Za-z0-9._-]/g, '_')
      while (key in all) key += '_'
      const { $schema: _, ...own } = schema
      all[key] = rooted(own, `#/components/schemas/${key}`)
      return { $ref: `#/components/schemas/${key}` }
    },
  }
}

/** The schema with references to its own root (`#`, `#/$defs/a`) changed to where that is now. */
function rooted(value: unknown, root: string): unknown {
  if (Array.isArray(value)) return value.map((one) => rooted(one, root))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [
      key,
      key === '$ref' && typeof one === 'string' && one.startsWith('#') ? root + one.slice(1) : rooted(one, root),
    ]),
  )
}
