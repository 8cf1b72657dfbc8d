// Which version of a package is measured: that which is installed.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

export function versionOf(name: string): string {
  return (require(`${name}/package.json`) as { version: string }).version
}
