/** Write src/drivers/sqlite/thread-source.ts anew, if what it is made of has changed. */
export function writeThreadSource(): void
