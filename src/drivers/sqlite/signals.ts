// Wake-ups: at once within a driver, and between processes by watching the folder that holds the file.
import { watch, type FSWatcher } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Signals } from '../../driver/driver.js'

export interface FileSignals extends Signals {
  emit(topic: 'work' | 'done'): void
  close(): void
}

// The event of a write comes before its commit can be seen, so one look is not enough: looks follow after 1, 2, 4 and
// 8 ms, beginning anew with each event.
const FIRST_LOOK = 1
const LAST_LOOK = 8

export function createFileSignals(path: () => string): FileSignals {
  const listeners = { work: new Set<() => void>(), done: new Set<() => void>() }
  let watcher: FSWatcher | undefined
  let timer: NodeJS.Timeout | undefined
  let nextLook = FIRST_LOOK

  const tell = (topic: 'work' | 'done') => {
    for (const listener of listeners[topic]) listener()
  }
  const changed = () => {
    nextLook = FIRST_LOOK
    timer ??= setTimeout(look, nextLook).unref()
  }
  function look(): void {
    tell('work')
    tell('done')
    nextLook *= 2
    timer = nextLook <= LAST_LOOK ? setTimeout(look, nextLook).unref() : undefined
  }

  // The folder, not the file: the write-ahead log is deleted with its last connection and made anew.
  function start(): void {
    const file = basename(path())
    try {
      watcher = watch(dirname(path()), { persistent: false }, (_event, name) => {
        if (name === null || name.startsWith(file)) changed()
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
    emit: tell,
    close: stop,
    on(topic, listener) {
      const own = () => listener()
      if (listeners.work.size + listeners.done.size === 0) start()
      listeners[topic].add(own)
      return () => {
        if (!listeners[topic].delete(own)) return
        if (listeners.work.size + listeners.done.size === 0) stop()
      }
    },
  }
}
