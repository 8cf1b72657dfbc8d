// millrace setup FILE: the release step. Makes the schema and declares what a worker has, and runs no job.
import type { Command } from 'commander'
import type { ClientParts } from '../../client/client.js'
import type { GlobalFlags } from '../flags.js'
import { loadWorker, withPlan } from '../load.js'
import { count, print, printJson } from '../print.js'
import { databaseOf, withClient } from '../target.js'

export function addSetup(program: Command): void {
  program
    .command('setup')
    .description(
      'Create or migrate the schema, and declare the queues, tasks, subscriptions and schedules of the worker that FILE exports.',
    )
    .argument('<file>', 'TypeScript or JavaScript, whose default export is a worker')
    .addHelpText(
      'after',
      `
Run it once per release, before the new workers start. Running it again changes nothing.

Example:
  $ millrace setup worker.ts --url sqlite:/var/lib/app/jobs.db`,
    )
    .action((file: string, _own: GlobalFlags, command: Command) => setup(file, command.optsWithGlobals<GlobalFlags>()))
}

async function setup(file: string, flags: GlobalFlags): Promise<void> {
  const worker = await loadWorker(file)
  const [{ COMPANIONS, partsOf }, { declareTasks }, { tasksOf }] = await Promise.all([
    import('../../connect.js'),
    import('../../worker/catalogue.js'),
    import('../../worker/define.js'),
  ])
  await withClient(flags, { create: true }, (client) =>
    withPlan(worker, async (plan) => {
      const own = partsOf(client) as ClientParts<any>
      const driver = await own.session.open()
      const queues = plan.queues.map(({ name }) => name)
      await driver.setup()
      for (const name of queues) await driver.broker.declare({ name })
      const tasks = tasksOf(plan)
      await declareTasks(driver, tasks)
      for (const companion of COMPANIONS) await companion.declare({ parts: own, driver, plan })
      const database = databaseOf(flags)
      const declared = {
        queues,
        tasks: tasks.map(({ name }) => name),
        subscriptions: [...plan.handlers.values()].flatMap(({ subscription }) => subscription?.name ?? []),
        schedules: plan.schedules.map(({ name }) => name),
      }
      if (flags.json) return printJson({ database, ...declared })
      const parts = Object.entries(declared).filter(([, names]) => names.length > 0)
      const told = parts.map(([what, names]) => `${count(names.length, what.slice(0, -1))} (${names.join(', ')})`)
      print(`${database} is ready: ${told.join(', ')}.`)
    }),
  )
}
