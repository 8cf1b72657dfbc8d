// URLs as they may be shown.

/** The URL with its user and password replaced by `***`. */
export function withoutSecret(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//***@')
}
