/**
 * What a row of the generator's table is: an op, how often it comes, how a use of it is made up, and how that reads as
 * TypeScript.
 */
import type { Value } from "../program.ts";
import type { Scope } from "../scope.ts";
import { type Call, literal, nameOf } from "../text.ts";

/** One op that programs may use. */
export interface FuzzOp {
  /** The name of the public function. */
  readonly name: string;
  /** How often it comes, in comparison with others. */
  readonly weight: number;
  /** Adds a use of the op to a scope; undefined where nothing fits. */
  readonly make: (scope: Scope) => Value | undefined;
  /** The call. */
  readonly call: Call;
}

/** `name(a, b, { option: 1 })`: operands, then the attributes as options if there are any. */
export const plainCall: Call = ({ op, args, attrs }) => {
  const options = Object.keys(attrs).length > 0 ? [literal(attrs)] : [];
  return `${op}(${[...args.map(nameOf), ...options].join(", ")})`;
};

/** `name(a, attribute, attribute)`: operands, then the values of some attributes in order. */
export function positional(...names: readonly string[]): Call {
  return ({ op, args, attrs }) =>
    `${op}(${
      [...args.map(nameOf), ...names.filter((name) => attrs[name] !== undefined).map((name) => literal(attrs[name]))]
        .join(", ")
    })`;
}

/** A row of the table. */
export function fuzzOp(name: string, weight: number, make: FuzzOp["make"], call: Call = plainCall): FuzzOp {
  return { name, weight, make, call };
}
