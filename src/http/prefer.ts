// `Prefer: wait=10`: for how long a caller would wait for the job to finish.
// Source: https://www.rfc-editor.org/rfc/rfc7240#section-4.3

/** Seconds to wait, at most `most`; 0 for none. What cannot be understood is no preference, as the RFC has it. */
export function waitOf(headers: Headers, most: number): number {
  for (const preference of (headers.get('prefer') ?? '').split(',')) {
    const [, seconds] = /^\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:;.*)?$/i.exec(preference) ?? []
    if (seconds !== undefined) return Math.min(Number(seconds), Math.floor(most / 1_000))
  }
  return 0
}
