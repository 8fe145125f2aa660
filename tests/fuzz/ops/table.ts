/** All that programs are made of. */
import { ARRANGED } from "./arranged.ts";
import { CONTROL } from "./control.ts";
import { ELEMENTWISE } from "./elementwise.ts";
import type { FuzzOp } from "./fuzz_op.ts";
import { LAYERS } from "./layers.ts";
import { SUMS } from "./sums.ts";
import { VIEWS } from "./views.ts";

/** The rows that take no function. */
export const PLAIN_OPS: readonly FuzzOp[] = [...ELEMENTWISE, ...VIEWS, ...ARRANGED, ...SUMS, ...LAYERS];

/** All rows. */
export const OP_TABLE: readonly FuzzOp[] = [...PLAIN_OPS, ...CONTROL];

const byName = new Map(OP_TABLE.map((op) => [op.name, op.call]));

/** How an op's call reads. @throws {Error} for an op that the table lacks. */
export function callOf(name: string): FuzzOp["call"] {
  const call = byName.get(name);
  if (!call) throw new Error(`the table of ops has no ${name}`);
  return call;
}
