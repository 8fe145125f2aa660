/** Prints a kernel as a C function that computes one thread's share of it. */
import type { LocalType, Parameter, WrittenFunction } from "../../codegen/function_writer.ts";
import { printKernel } from "../../codegen/print_kernel.ts";
import type { Division } from "../../codegen/walk.ts";
import type { Kernel } from "../../kernel.ts";
import { CLanguage, nameOf } from "./c_language.ts";
import type { NativeTarget } from "./target.ts";

/** A printed kernel. */
export interface NativeKernel {
  /**
   * A function `void KERNEL(i64 thread, i64 threads, char *scratch, char *const *operands, const i32 *loops)`, whose name
   * is {@link KERNEL_NAME}. Equal kernels have equal texts. It requires the prelude (c_prelude.ts).
   *
   * `scratch` is the thread's own and starts at a multiple of 64 bytes. Operands have an address each; memory can be
   * read for 64 bytes before the first and after the last of them. `loops` are the indices of the loops around it.
   */
  readonly text: string;
  /** Bytes of scratch memory that each thread needs. */
  readonly scratchBytes: number;
  /** What threads share it by. */
  readonly division: Division;
}

/** The placeholder for the name of the function, which occurs once in its text. */
export const KERNEL_NAME = "KERNEL";

const TYPES: Readonly<Record<LocalType, string>> = { f32: "float", i32: "i32", address: "char *", lanes: "V" };

/** Prints a kernel. */
export function printNativeKernel(kernel: Kernel, target: NativeTarget): NativeKernel {
  const { fn, scratchBytes, division } = printKernel(kernel, target, new CLanguage());
  return { text: functionText(fn), scratchBytes, division };
}

/** The text of a finished function, with the signature of kernels. */
export function functionText({ parameters, locals, code }: WrittenFunction<string>): string {
  const lines = [
    ...parameters.map((parameter, at) => `${TYPES[parameter.type]} ${nameOf(at)} = ${argumentOf(parameter)};`),
    ...declarations(locals, parameters.length),
    ...code,
  ];
  const head = `void ${KERNEL_NAME}(i64 thread, i64 threads, char *scratch, char *const *operands, const i32 *loops) {`;
  return [head, ...lines.map((line) => `  ${line}`), "}", ""].join("\n");
}

/** The C expression for a parameter of the writer. */
function argumentOf({ name }: Parameter): string {
  const [, kind, number] = /^([bl])(\d+)$/.exec(name) ?? [];
  return kind === "b" ? `operands[${number}]` : kind === "l" ? `loops[${number}]` : name;
}

function declarations(locals: readonly LocalType[], first: number): string[] {
  const byType = new Map<LocalType, string[]>();
  locals.forEach((type, at) => {
    const names = byType.get(type) ?? [];
    byType.set(type, names);
    names.push(`${type === "address" ? "*" : ""}${nameOf(first + at)}`);
  });
  return [...byType].map(([type, names]) => `${type === "address" ? "char" : TYPES[type]} ${names.join(", ")};`);
}
