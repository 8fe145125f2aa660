/**
 * The error classes of Mneme. Messages are built from fields, so that programs can read the same information as people.
 */

/** Shapes that do not fit an operation. Thrown while tracing, at the user's line. */
export class ShapeError extends TypeError {
  /** The name of the class. */
  override readonly name = "ShapeError";
  /**
   * Creates the error.
   * @param message The action, the operands, a colon, the rule and the numbers that break it.
   * @param shapes The shapes concerned, in the order of the message.
   */
  constructor(
    message: string,
    /** As the constructor was given it. */
    readonly shapes: readonly (readonly number[])[] = [],
  ) {
    super(message);
  }
}

/** Element types that do not fit an operation; nothing is promoted implicitly. */
export class DTypeError extends TypeError {
  /** The name of the class. */
  override readonly name = "DTypeError";
  /**
   * Creates the error.
   * @param message The action, the operands, a colon and the rule.
   * @param dtypes The element types concerned, in the order of the message.
   */
  constructor(
    message: string,
    /** As the constructor was given it. */
    readonly dtypes: readonly string[] = [],
  ) {
    super(message);
  }
}

/** An unknown option, or options that are not a record. Thrown immediately, at the user's line. */
export class OptionError extends TypeError {
  /** The name of the class. */
  override readonly name = "OptionError";
  /**
   * Creates the error.
   * @param message What was attempted, what is wrong, and what is available.
   * @param option The name concerned; empty if the options are not a record.
   */
  constructor(
    message: string,
    /** As the constructor was given it. */
    readonly option: string,
  ) {
    super(message);
  }
}

/**
 * A program that cannot be compiled: incorrect use of tracing, no gradient, or source that a device's compiler rejects.
 */
export class CompileError extends Error {
  /** The name of the class. */
  override readonly name = "CompileError";
  /**
   * Creates the error.
   * @param message What could not be compiled and what to do.
   * @param source The generated source concerned, if any.
   */
  constructor(
    message: string,
    /** As the constructor was given it. */
    readonly source?: string,
  ) {
    super(message);
  }
}

/** Why a device could not do what was asked. */
export type DeviceErrorReason = "unavailable" | "lost" | "out-of-memory" | "limit" | "disposed" | "validation";

/** A device that is missing, lost, out of memory, or asked for more than its limits allow. */
export class DeviceError extends Error {
  /** The name of the class. */
  override readonly name = "DeviceError";
  /**
   * Creates the error.
   * @param message What failed and what to do.
   * @param reason The class of failure, for programs that react to it.
   */
  constructor(
    message: string,
    /** As the constructor was given it. */
    readonly reason: DeviceErrorReason,
  ) {
    super(message);
  }
}

/** Asserts a condition that can only fail because of a bug in Mneme.
 * @param condition What must hold.
 * @param message What a failure means.
 * @throws {Error} prefixed `Internal:` when the condition is false.
 */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`Internal: ${message}. Please report this with the program that caused it.`);
}
