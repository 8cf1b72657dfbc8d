// A log that is read: what would be said for job after job is said once in a while.

/** Answers whether it is time to say something again; `ms` must have passed since it last was, for the same `what`. */
export function seldom(ms: number): (what: string) => boolean {
  const told = new Map<string, number>()
  return (what) => {
    const now = performance.now()
    const last = told.get(what)
    if (last !== undefined && now - last < ms) return false
    told.set(what, now)
    return true
  }
}
