// disk-full: the file lies on a small file system of its own, and another file takes all that is left of it.
import { execFileSync } from 'node:child_process'
import { closeSync, cpSync, mkdtempSync, openSync, rmSync, rmdirSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Chaos, Scenario } from '../scenario.js'
import type { Site } from '../site.js'
import { until } from '../wait.js'

const LEASE = 1_000
const SIZE = '64m'
const ENOUGH = 5
const PATIENCE = 20_000

/** A small disk, taken away again at the end. @throws where mounting is refused */
function mountDisk(chaos: Chaos, opened: { site?: Site }): string {
  const disk = mkdtempSync(join(tmpdir(), 'millrace-chaos-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'millrace-chaos', disk], { stdio: 'pipe' })
  } catch (error) {
    rmdirSync(disk)
    throw error
  }
  chaos.after((keep) => {
    const folder = opened.site?.folder
    if (keep && folder !== undefined)
      cpSync(disk, join(folder, 'disk'), { recursive: true, filter: (file) => !file.endsWith('filler') })
    execFileSync('umount', ['--lazy', disk])
    rmdirSync(disk)
  })
  return disk
}

/** Write until not a byte is left. */
function fill(file: string): void {
  const out = openSync(file, 'w')
  for (let size = 65_536; size >= 1;) {
    try {
      writeSync(out, Buffer.alloc(size))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      size = Math.floor(size / 2)
    }
  }
  closeSync(out)
}

export const diskFull: Scenario = {
  name: 'disk-full',
  does: `the file lies on a disk of ${SIZE}, which another file fills up`,
  holds:
    'an enqueue is refused as not-sent and says why, nothing is damaged, and work goes on by itself when there is space again',
  share: 0.04,
  async run(chaos) {
    const opened: { site?: Site } = {}
    let disk: string
    try {
      disk = mountDisk(chaos, opened)
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: Buffer }
      const why = `a tmpfs cannot be mounted here: ${(stderr?.toString() || message).trim().split('\n')[0]}`
      return { figures: {}, violations: [], skipped: why }
    }
    const site = (opened.site = await chaos.site({ lease: LEASE, disk: () => disk }))
    const workers = [site.worker(), site.worker()]
    await Promise.all(workers.map((worker) => worker.ready))
    const violations: string[] = []
    let times = 0
    chaos.progress(() => `filled ${times} times`)
    await site.producer({ ms: 10, lanes: 4, pause: 8, most: 10_000, padding: 2_000 }).ready
    const rounds = Math.max(1, Math.floor((chaos.seconds - 1) / 6))
    const refusedSoFar = () => site.effects().filter(({ verb }) => verb === 'refused').length
    for (; times < rounds && violations.length === 0; times++) {
      await sleep(chaos.random.between(400, 900))
      const before = refusedSoFar()
      fill(join(disk, 'filler'))
      // The log of SQLite may still have room of its own for a while.
      if (!(await until(() => refusedSoFar() >= before + ENOUGH, PATIENCE)))
        violations.push('no enqueue was refused on a full disk')
      await sleep(site.lease * 1.5)
      rmSync(join(disk, 'filler'))
      const [id] = await site.enqueue([{ kind: 'ok' }])
      const done = async () => (await site.jobs([id!]))[0]?.state === 'completed'
      if (!(await until(done, PATIENCE))) violations.push('with space again, a job was not done')
    }
    const restarted = workers.filter(({ running }) => !running).map(({ name }) => name)
    const verdict = await site.finish()
    const refused = verdict.history.effects.filter(({ verb }) => verb === 'refused')
    const wrong = refused.filter(({ outcome }) => outcome !== 'ERR_BROKER_UNAVAILABLE/not-sent')
    const unclear = site.logged(/^refused/).filter((line) => !line.includes('the disk is full'))
    const repeated = site.logged(/Could not settle; trying again/).length
    if (restarted.length > 0) violations.push(`workers ended on a full disk: ${restarted.join(', ')}`)
    if (wrong.length > 0) violations.push(`${wrong.length} enqueues were refused as ${wrong[0]!.outcome}`)
    if (unclear.length > 0) violations.push(`a refusal does not say why: ${unclear[0]}`)
    if (verdict.figures.redone > 0) violations.push(`${verdict.figures.redone} jobs ran again`)
    return {
      figures: {
        'filled up': times,
        refused: refused.length,
        'settles repeated': repeated,
        jobs: verdict.figures.jobs,
        redone: verdict.figures.redone,
      },
      violations: [...violations, ...verdict.violations],
    }
  },
}
