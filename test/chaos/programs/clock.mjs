// Preloaded: the wall clock of this process jumps. CHAOS_JUMPS is a list of [milliseconds after the start, offset in ms].
const RealDate = Date
const jumps = JSON.parse(process.env.CHAOS_JUMPS)
const started = performance.now()

function offset() {
  const passed = performance.now() - started
  return jumps.findLast(([at]) => at <= passed)?.[1] ?? 0
}

globalThis.Date = class Date extends RealDate {
  constructor(...parts) {
    if (parts.length === 0) super(RealDate.now() + offset())
    else super(...parts)
  }
  static now() {
    return RealDate.now() + offset()
  }
}
