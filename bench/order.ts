// What a child process is told to do, and what it answers.
import type { Measured } from './cases/case.js'

/** A measurement, or the making of a database that others are measured on. */
export interface Order {
  readonly do: 'measure' | 'fill' | 'finish'
  readonly case: string
  readonly driver: string
  readonly subject: string
  readonly durability: string
  readonly folder: string
  readonly jobs: number
  readonly quick: boolean
}

export type Answer = { readonly measured?: Measured } | { readonly error: string }
