// The compilers that users have, from the oldest that the package promises to the newest, and how to run one.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const COMPILERS = ['typescript5', 'typescript', 'typescript7'] as const // 5.5, 6, 7: names in node_modules
export type Compiler = (typeof COMPILERS)[number]

/** Check the project in `dir`, with its tsconfig.json and these flags on top. Answers the complaints, '' for none. */
export function diagnose(compiler: Compiler, dir: string, flags: readonly string[] = []): Promise<string> {
  const tsc = fileURLToPath(new URL(`../../node_modules/${compiler}/bin/tsc`, import.meta.url))
  return new Promise((resolve) => {
    execFile(process.execPath, [tsc, '-p', dir, '--noEmit', ...flags], { cwd: dir }, (error, stdout, stderr) =>
      resolve(error === null ? '' : `${stdout}${stderr}` || error.message),
    )
  })
}
