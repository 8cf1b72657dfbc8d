// A disk that is full takes no beat: that was a gap for everybody, and nobody is taken for dead when there is space again.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { defaultEngine } from '../../src/drivers/sqlite/engine.js'
import { sqlite } from '../../src/drivers/sqlite/index.js'
import { createStage } from '../../src/testing/conformance/stage.js'
import { useFolder } from '../support/folder.js'

const folder = useFolder()
const LEASE = 600

/** As code 13 of node:sqlite and as the code of better-sqlite3. */
const FULL = { code: 'SQLITE_FULL', errcode: 13 }
let full = false
class Disk extends defaultEngine() {
  override exec(sql: string): unknown {
    if (full && sql === 'COMMIT') throw Object.assign(new Error('database or disk is full'), FULL)
    return super.exec(sql)
  }
}

describe('a full disk', () => {
  it('buries no worker that lives', async () => {
    const file = join(folder(), 'jobs.db')
    const open = () => sqlite({ file, engine: Disk, lease: LEASE })
    const { stage, end } = createStage({ open, destroy: async () => {} })
    const hands = [await stage.hand(await stage.driver()), await stage.hand(await stage.driver())]
    full = true
    const since = performance.now()
    let refused = 0
    while (performance.now() - since < 2 * LEASE)
      for (const hand of hands) await hand.beat().catch(() => (refused += 1))
    full = false
    expect(refused).toBeGreaterThan(2)
    await hands[0]!.beat()
    const driver = await stage.driver()
    const alive = (await driver.workers.list()).map(({ worker }) => worker)
    expect(alive.toSorted()).toEqual(hands.map(({ worker }) => worker).toSorted())
    await end()
  })
})
