// File modes stop everybody but root. So that tests can be stopped by them, root gives up the right to pass them by.
import { execFileSync } from 'node:child_process'

const SETPRIV = ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] as const

/**
 * The command that runs this Node with these arguments, stopped by file modes also when the tests run as root;
 * `undefined` where root cannot be stopped (no setpriv of util-linux).
 */
export function stoppedByModes(args: readonly string[]): readonly [string, ...string[]] | undefined {
  if (process.getuid?.() !== 0) return [process.execPath, ...args]
  return canDrop ? [...SETPRIV, process.execPath, ...args] : undefined
}

const canDrop = ((): boolean => {
  try {
    execFileSync(SETPRIV[0], [SETPRIV[1], 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()
