// What a file is, by its content alone: names lie.
import { fileTypeFromBuffer } from 'file-type'

/** How many of a file's first bytes are looked at: what file-type asks for. */
export const SAMPLE = 4100
const TEXT_SAMPLE = 4096

/** @param head the first bytes of the file, at most `SAMPLE`; `bytes` is the size of all of it. */
export async function mediaType(head: Buffer, bytes: number): Promise<string> {
  if (bytes === 0) return 'inode/x-empty'
  // It throws where a format goes on behind the sample, or is broken. That says nothing about whether the file is sound.
  const found = await fileTypeFromBuffer(head).catch(() => undefined)
  return found?.mime ?? (isText(head.subarray(0, TEXT_SAMPLE), bytes) ? 'text/plain' : 'application/octet-stream')
}

function isText(head: Buffer, bytes: number): boolean {
  if (head.includes(0)) return false
  try {
    // `stream`: a character that the sample cuts in two is no error, unless the file itself ends there.
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: bytes > head.length })
    return true
  } catch {
    return false
  }
}
