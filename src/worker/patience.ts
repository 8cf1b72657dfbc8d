// How long a queue may leave fresh credit unused before another queue gets a chance: some times what this broker takes to
// hand over a job that it has. Too short, and queues on a slow link would get equal shares whatever their weights; too long,
// and a quiet queue would keep slots from the others.

export interface Patience {
  /** In milliseconds, for now. */
  readonly ms: number
  /** A job came so many milliseconds after its queue had got credit. */
  answered(ms: number): void
}

const LEAST = 5
const MOST = 100
const TIMES = 3
/** Answers that are remembered. */
const ANSWERS = 16

export function createPatience(): Patience {
  const answers: number[] = []
  let ms = LEAST
  return {
    get ms() {
      return ms
    },
    answered(took) {
      // A queue that has nothing answers late, and that says nothing of the link: so the quicker answers count.
      answers.push(took)
      if (answers.length > ANSWERS) answers.shift()
      const quick = answers.toSorted((a, b) => a - b)[Math.floor(answers.length / 4)]!
      ms = Math.min(MOST, Math.max(LEAST, quick * TIMES))
    },
  }
}
