// The drivers that can be measured. A new driver is a file in `drivers/` and a line here.
import type { MeasuredDriver } from './drivers/driver.js'
import { rabbitmq, rabbitmqWithSqlite, rabbitmqWithSqliteFinal } from './drivers/rabbitmq.js'
import { sqlite } from './drivers/sqlite.js'
import type { Subject } from './subject.js'

export const DRIVERS: Readonly<Record<string, MeasuredDriver>> = {
  sqlite,
  rabbitmq,
  'rabbitmq+sqlite': rabbitmqWithSqlite,
  'rabbitmq+sqlite-final': rabbitmqWithSqliteFinal,
}

/** Millrace, or one of the peers by its name. */
export function subjectOf(o: { driver: string; subject: string; durability: string }): Subject {
  const driver = DRIVERS[o.driver]!
  return driver.peers.find(({ name }) => name === o.subject) ?? driver.subject(o)
}
