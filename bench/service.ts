// A server that a driver is measured on, where it has one.

export interface Service {
  /** Of the server, for the line of a figure. */
  readonly versions: Readonly<Record<string, string>>
  /** An empty place on it for one measurement. The processes that measure get `env`, and find the place in it. */
  withPlace<T>(use: (env: Readonly<Record<string, string>>) => Promise<T>): Promise<T>
  /** For a bench that is interrupted: removes places that are in use. */
  close(): Promise<void>
}
