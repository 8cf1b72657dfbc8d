// The states of a job and the one table of moves between them.

/** Where a job stands. The diagram is in docs/concepts.md. */
export type JobState = 'scheduled' | 'ready' | 'active' | 'completed' | 'dead' | 'cancelled'

export const JOB_STATES: readonly JobState[] = ['scheduled', 'ready', 'active', 'completed', 'dead', 'cancelled']

/** What can happen to a job. */
export type Move = 'due' | 'start' | 'complete' | 'retry' | 'release' | 'bury' | 'cancel' | 'revive'

/** Which state each move leads to, by the state it begins in. What is not here cannot happen. */
export const MOVES: Readonly<Record<Move, Readonly<Partial<Record<JobState, JobState>>>>> = {
  /** its time has come */
  due: { scheduled: 'ready' },
  /** handed to a worker: a new run */
  start: { ready: 'active' },
  complete: { active: 'completed' },
  /** failed, to be tried again after a delay */
  retry: { active: 'scheduled' },
  /** given back unspent: its worker stops, died, or has no handler */
  release: { active: 'ready' },
  /** failed for good */
  bury: { active: 'dead' },
  /** given up by a caller or operator; an active job's handler ends first */
  cancel: { scheduled: 'cancelled', ready: 'cancelled', active: 'cancelled' },
  /** an operator's retry: fresh attempts, the run number goes on */
  revive: { dead: 'ready' },
}

/** The state after a move, or `undefined` when the move is not possible from there. */
export function stateAfter(from: JobState, move: Move): JobState | undefined {
  return MOVES[move][from]
}

/** States that end a job, until retention removes it (or an operator retries a dead one). */
export function isFinished(state: JobState): boolean {
  return state === 'completed' || state === 'dead' || state === 'cancelled'
}

/** Priorities run from 0 (last) to 9 (first). */
export type Priority = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9
export const DEFAULT_PRIORITY: Priority = 4
export const HIGHEST_PRIORITY: Priority = 9
