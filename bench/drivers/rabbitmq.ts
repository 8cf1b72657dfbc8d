// Millrace on RabbitMQ, alone and with a SQLite file as its store, beside bare amqplib.
import { join } from 'node:path'
import type { Target } from '../cases/case.js'
import { millrace } from '../millrace.js'
import { amqplibTutorial } from '../peers/amqplib-tutorial.js'
import { amqplib } from '../peers/amqplib.js'
import { namespaceOf, openService, serviceUrl } from '../rabbitmq/service.js'
import { versionOf } from '../versions.js'
import type { MeasuredDriver } from './driver.js'
import { sqliteVersions } from './sqlite.js'

/** @param share of the bare loop that is to be reached where jobs per second are counted */
function casesWith(share: number): Readonly<Record<string, readonly Target[]>> {
  return {
    'bulk-enqueue': [{ of: 'amqplib', least: share }],
    'single-enqueue-1': [],
    'single-enqueue-64': [{ of: 'amqplib', least: share }],
    drain: [{ of: 'amqplib', least: share }],
    'latency-local-p50': [{ of: 'value', most: 2 }],
    'latency-cross-p50': [{ of: 'value', most: 2 }],
    'delay-lateness': [{ of: 'value', most: 1200 }],
    'idle-cpu': [{ of: 'value', most: 1 }],
  }
}

/** No store: what was done is not remembered. */
export const rabbitmq: MeasuredDriver = {
  durabilities: ['quorum'],
  peers: [amqplib, amqplibTutorial],
  cases: casesWith(0.9),
  subject: ({ durability }) =>
    millrace({ durability, targetIn: serviceUrl, remembers: false, namespaceIn: namespaceOf }),
  versions: () => ({ amqplib: versionOf('amqplib') }),
  start: openService,
}

/** Every job is kept in a SQLite file, with its result. @param history how much is written of it */
function withSqlite(history: 'full' | 'final'): MeasuredDriver {
  return {
    ...rabbitmq,
    durabilities: ['full', 'normal'], // of the file; the queues are the same
    cases: casesWith(0.7),
    subject: ({ durability }) =>
      millrace({
        durability,
        targetIn: (folder) => ({
          broker: serviceUrl(),
          store: `sqlite:${join(folder, 'jobs.db')}?durability=${durability}`,
          history,
        }),
        namespaceIn: namespaceOf,
      }),
    versions: () => ({ amqplib: versionOf('amqplib'), ...sqliteVersions() }),
  }
}

export const rabbitmqWithSqlite: MeasuredDriver = withSqlite('full')
/** Only how it ended. */
export const rabbitmqWithSqliteFinal: MeasuredDriver = withSqlite('final')
