// millrace setup FILE: the release step. Makes the schema, the queues and the task catalogue, and runs no job.
import type { Command } from 'commander'
import type { GlobalFlags } from '../flags.js'
import { loadWorker } from '../load.js'
import { count, print, printJson } from '../print.js'
import { withClient } from '../target.js'

export function addSetup(program: Command): void {
  program
    .command('setup')
    .description('Create or migrate the schema, and declare the queues and tasks of the worker that FILE exports.')
    .argument('<file>', 'TypeScript or JavaScript: export default defineWorker({ … })')
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
  const loaded = await loadWorker(file)
  const [{ planOf }, { partsOf }, { declareTasks }] = await Promise.all([
    import('../../worker/define.js'),
    import('../../connect.js'),
    import('../../worker/catalogue.js'),
  ])
  const options = await loaded.open()
  try {
    const plan = await planOf(options, {})
    const tasks = [...plan.handlers.values()].map(({ task }) => task)
    await withClient(flags, { create: true }, async (client, database) => {
      const { broker, state } = await partsOf(client).session.open()
      for (const { name } of plan.queues) await broker.declare({ name })
      await declareTasks(state, tasks)
      const queues = plan.queues.map(({ name }) => name)
      const names = tasks.map(({ name }) => name)
      if (flags.json) return printJson({ database, queues, tasks: names })
      print(`${database} is ready.`)
      print(`${count(queues.length, 'queue')}: ${queues.join(', ')}`)
      print(`${count(names.length, 'task')}: ${names.join(', ')}`)
    })
  } finally {
    await options?.onStop?.()
  }
}
