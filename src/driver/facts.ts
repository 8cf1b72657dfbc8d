// Facts that the seam's drivers and those above it share; driver.ts passes them on.

/** Of each job the newest lines are kept, and of each line so many characters. */
export const KEPT_LINES = 200
export const LINE_LENGTH = 1_000

/** A blocked job that was due for so long without anybody taking it was not given back again and again meanwhile. */
export const BLOCKED_FORGOTTEN = 600_000

/** Entries of `State` under this prefix, followed by a queue's name, mean that the queue is paused. */
export const PAUSED_PREFIX = 'paused/'
