// Answers that went well, as JSON.

/** Nothing of ours is for caches, and nothing is to be guessed from its content. */
export const ALWAYS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
}

export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: { 'content-type': 'application/json', ...ALWAYS, ...headers },
  })
}
