/** Every primitive that a user's function can reach, by family. The tests check their op table against it. */
import { barrierOp } from "../core/barrier.ts";
import { addOp, fullOp } from "../core/linear.ts";
import type { OpDef } from "../core/op.ts";
import { permuteOp } from "./along_axis.ts";
import { divOp, maximumOp, minimumOp, modOp, mulOp, powOp, subOp } from "./binary.ts";
import { broadcastOp, sumOp } from "./broadcast.ts";
import {
  equalOp,
  greaterEqualOp,
  greaterOp,
  lessEqualOp,
  lessOp,
  logicalAndOp,
  logicalNotOp,
  logicalOrOp,
  notEqualOp,
} from "./compare.ts";
import { concatOp } from "./concat.ts";
import { gatherOp, scatterAddOp } from "./gather.ts";
import { linearScanOp } from "./linear_scan.ts";
import { matmulOp } from "./matmul.ts";
import { threefryOp } from "./random.ts";
import { argmaxOp, maxOp, minOp } from "./reduce.ts";
import { castOp, stopGradientOp, whereOp } from "./select.ts";
import { padOp, sliceOp } from "./slice.ts";
import { constantOp, iotaOp } from "./sources.ts";
import {
  absOp,
  cosOp,
  erfOp,
  expm1Op,
  expOp,
  floorOp,
  log1pOp,
  logOp,
  negOp,
  roundOp,
  rsqrtOp,
  sigmoidOp,
  signOp,
  sinOp,
  sqrtOp,
  tanhOp,
} from "./unary.ts";
import { flipOp, reshapeOp, transposeOp } from "./views.ts";

const SOURCES: readonly OpDef[] = [fullOp, iotaOp, constantOp];
const UNARY: readonly OpDef[] = [
  negOp,
  absOp,
  signOp,
  expOp,
  logOp,
  sqrtOp,
  rsqrtOp,
  sinOp,
  cosOp,
  tanhOp,
  sigmoidOp,
  erfOp,
  floorOp,
  roundOp,
  log1pOp,
  expm1Op,
];
const BINARY: readonly OpDef[] = [addOp, subOp, mulOp, divOp, maximumOp, minimumOp, powOp, modOp];
const LOGIC: readonly OpDef[] = [
  equalOp,
  notEqualOp,
  lessOp,
  lessEqualOp,
  greaterOp,
  greaterEqualOp,
  logicalAndOp,
  logicalOrOp,
  logicalNotOp,
];
const CHOICE: readonly OpDef[] = [whereOp, castOp, stopGradientOp, threefryOp];
const REDUCTIONS: readonly OpDef[] = [sumOp, maxOp, minOp, argmaxOp];
const VIEWS: readonly OpDef[] = [reshapeOp, transposeOp, flipOp, broadcastOp, sliceOp, padOp, concatOp, barrierOp];
const OTHERS: readonly OpDef[] = [matmulOp, linearScanOp, gatherOp, scatterAddOp, permuteOp];

/** All primitives of `ops`, the three that core defines included. The rolled loop (`scan`) is core's own. */
export const PRIMITIVES: readonly OpDef[] = [
  ...SOURCES,
  ...UNARY,
  ...BINARY,
  ...LOGIC,
  ...CHOICE,
  ...REDUCTIONS,
  ...VIEWS,
  ...OTHERS,
];
