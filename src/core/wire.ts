// Compile-time check that a type survives JSON; the error names the path, as in { 'not a JSON value': '$.at' }.

type NotJson =
  | Date
  | bigint
  | symbol
  | ((...a: never[]) => unknown)
  | Map<unknown, unknown>
  | Set<unknown>
  | RegExp
  | ArrayBuffer
  | ArrayBufferView
  | Promise<unknown>

/** Depth is bounded so that recursive types end. */
type Less = [never, 0, 1, 2, 3, 4, 5]

type BadPath<T, P extends string, D extends number = 6> = [D] extends [never]
  ? never
  : unknown extends T
    ? never
    : T extends string | number | boolean | null | undefined | void
      ? never
      : T extends NotJson
        ? P
        : T extends readonly (infer E)[]
          ? BadPath<E, `${P}[]`, Less[D]>
          : T extends object
            ? { [K in keyof T & string]-?: BadPath<T[K], `${P}.${K}`, Less[D]> }[keyof T & string]
            : never

/** `unknown` when `T` is JSON, else a type that nothing fits and that names the first path that is not. */
export type Wire<T> = [BadPath<T, '$'>] extends [never] ? unknown : { 'not a JSON value': BadPath<T, '$'> }
