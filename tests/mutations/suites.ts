/**
 * The suites that hunt planted faults, by what they look at. Golden texts are none of them: they notice every change,
 * right or wrong.
 */

/** What a suite looks at. */
export type SuiteGroup =
  | "core"
  | "ops"
  | "lower"
  | "gradients"
  | "schedule"
  | "plan"
  | "cpu"
  | "webgpu"
  | "pieces"
  | "fuzz"
  | "ranks"
  | "runner";

/** Test files of each group, the quickest first. */
export const SUITES: Readonly<Record<SuiteGroup, readonly string[]>> = {
  core: [
    "tests/core/index_expr_test.ts",
    "tests/core/scan_test.ts",
    "tests/core/grad_test.ts",
    "tests/core/custom_vjp_test.ts",
    "tests/core/checkpoint_test.ts",
  ],
  ops: ["tests/ops/rewrite_test.ts", "tests/ops/gradient_edges_test.ts"],
  lower: ["tests/op_suites/lower_test.ts", "tests/op_suites/reference_test.ts"],
  gradients: [
    "tests/op_suites/gradient_test.ts",
    "tests/op_suites/second_order_test.ts",
    "tests/ops/nested_grad_test.ts",
  ],
  schedule: [
    "tests/kernels/elementwise_test.ts",
    "tests/kernels/schedule_test.ts",
    "tests/kernels/in_place_test.ts",
    "tests/kernels/mask_test.ts",
    "tests/kernels/evaluate_plan_test.ts",
  ],
  plan: ["tests/kernels/plan_memory_test.ts", "tests/kernels/evaluate_plan_test.ts"],
  cpu: [
    "tests/kernels/thread_program_test.ts",
    "tests/kernels/cpu_kernels_test.ts",
    "tests/op_suites/parity_cpu_test.ts",
    "tests/kernels/cpu_device_test.ts",
  ],
  webgpu: ["tests/kernels/print_test.ts", "tests/op_suites/parity_webgpu_test.ts"],
  pieces: ["tests/kernels/pieces_test.ts", "tests/fuzz/pieces_test.ts"],
  fuzz: ["tests/fuzz/fuzz_test.ts"],
  ranks: ["tests/mpi/mpi_test.ts"],
  runner: ["tests/run_test.ts"],
};
