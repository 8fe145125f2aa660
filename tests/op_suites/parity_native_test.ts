import { requestNativeDevice } from "../../kernels/devices/native/device.ts";
import { NATIVE_CACHE } from "../kernels/native_tests.ts";
import { OP_CASES } from "../op_cases.ts";
import { checkParity } from "./parity.ts";

Deno.test("op table: native computes what the interpreter computes, on one thread and on two", async () => {
  // However small, every kernel runs on both threads.
  const options = { minParallel: 0, poison: true, cacheDirectory: NATIVE_CACHE };
  using one = await requestNativeDevice({ ...options, threads: 1 });
  using two = await requestNativeDevice({ ...options, threads: 2 });
  const { cases, results } = await checkParity(one, OP_CASES, { alike: two, together: true });
  console.log(`op table, parity of ${one.info.kind} (${one.info.description}): ${cases} cases, ${results} results`);
});
