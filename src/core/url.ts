// URLs as they may be shown.

/** The URL with its user and password replaced by `***`, also when they hold characters that should have been encoded. */
export function withoutSecret(url: string): string {
  return url.replace(/\/\/.*@/s, '//***@')
}
