// deno-lint-ignore no-explicit-any -- any constructor
type Class<T> = abstract new (...args: any[]) => T;

/** Throws unless the value is truthy. */
export function assert(value: unknown, message?: string): asserts value;
/** Throws unless the values are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void;
/** Throws if the values are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void;
/** Throws unless the values are identical by `Object.is`. */
export function assertStrictEquals<T>(actual: unknown, expected: T, message?: string): asserts actual is T;
/** Throws unless the numbers differ by at most the tolerance (1e-7 of the expected value unless said). */
export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, message?: string): void;
/** Throws if the value is null or undefined. */
export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T>;
/** Throws unless `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, message?: string): void;
/** Throws unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, message?: string): void;
/** Throws unless `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, message?: string): void;
/** Throws unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, message?: string): void;
/** Throws unless the text contains the other. */
export function assertStringIncludes(actual: string, expected: string, message?: string): void;
/** Throws unless the array includes all the values. */
export function assertArrayIncludes<T>(actual: ArrayLike<T>, expected: ArrayLike<T>, message?: string): void;
/** Throws unless the text matches. */
export function assertMatch(actual: string, expected: RegExp, message?: string): void;
/** Throws if the text matches. */
export function assertNotMatch(actual: string, expected: RegExp, message?: string): void;
/** Throws unless the value is an instance of the class. */
export function assertInstanceOf<T>(
  actual: unknown,
  expectedType: Class<T>,
  message?: string,
): asserts actual is T;
/** Throws unless the value is an error of the class whose message includes the text. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  ErrorClass?: Class<E>,
  includes?: string,
): asserts error is E;
/** Throws unless the function throws; returns what it threw. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: Class<E>,
  includes?: string,
  message?: string,
): E;
export function assertThrows(fn: () => unknown, message?: string): unknown;
/** Rejects unless the function's promise rejects; resolves to the reason. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: Class<E>,
  includes?: string,
  message?: string,
): Promise<E>;
export function assertRejects(fn: () => PromiseLike<unknown>, message?: string): Promise<unknown>;
/** Throws always. */
export function fail(message?: string): never;
