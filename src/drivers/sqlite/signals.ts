// Wake-ups between processes: watches the folder that holds the file.
import { watch, type FSWatcher } from 'node:fs'
import { basename, dirname } from 'node:path'

export interface FileSignals {
  /** Watch, or not any more. */
  watch(on: boolean): void
}

// The event of a write comes before its commit can be seen, so one look is not enough: looks follow after 1, 2, 4 and
// 8 ms, beginning anew with each event.
const FIRST_LOOK = 1
const LAST_LOOK = 8

export function createFileSignals(path: () => string, changed: () => void): FileSignals {
  let watcher: FSWatcher | undefined
  let timer: NodeJS.Timeout | undefined
  let nextLook = FIRST_LOOK

  const onEvent = () => {
    nextLook = FIRST_LOOK
    timer ??= setTimeout(look, nextLook).unref()
  }
  function look(): void {
    changed()
    nextLook *= 2
    timer = nextLook <= LAST_LOOK ? setTimeout(look, nextLook).unref() : undefined
  }

  // The folder, not the file: the write-ahead log is deleted with its last connection and made anew.
  function start(): void {
    const file = basename(path())
    try {
      watcher = watch(dirname(path()), { persistent: false }, (_event, name) => {
        if (name === null || name.startsWith(file)) onEvent()
      })
      watcher.on('error', stop) // the slow poll stays
    } catch {
      // No notifications on this file system, or no watches left: the slow poll stays.
    }
  }

  function stop(): void {
    watcher?.close()
    watcher = undefined
    clearTimeout(timer)
    timer = undefined
  }

  return {
    watch(on) {
      if (!on) stop()
      else if (!watcher) start()
    },
  }
}
