/**
 * What MPI libraries call things in memory. MPI's C interface leaves open what a handle is: in Open MPI the address of a
 * symbol, in MPICH and its descendants (Intel MPI, MVAPICH) an integer, and in the standard ABI of MPI 5 a small
 * constant. Which of them a library is can be found out before it is initialised.
 */

/** A handle as FFI passes it. */
export type Handle = number | bigint | Deno.PointerObject;

/** The binary interface of a library. */
export interface Abi {
  /** Which one. */
  readonly name: "open-mpi" | "mpich" | "standard";
  /** The FFI type of a handle. */
  readonly handle: "pointer" | "i32" | "usize";
  readonly world: Handle;
  readonly float: Handle;
  readonly byte: Handle;
  readonly sum: Handle;
  readonly errorsReturn: Handle;
  /** `MPI_IN_PLACE`: an address that nobody reads, so that it is passed as a number. */
  readonly inPlace: bigint;
  /** `MPI_STATUS_IGNORE` */
  readonly noStatus: bigint;
  /** `MPI_THREAD_SERIALIZED` */
  readonly serialized: number;
}

const STANDARD: Abi = {
  name: "standard",
  handle: "usize",
  world: 0x101n,
  float: 0x210n,
  byte: 0x247n,
  sum: 0x21n,
  errorsReturn: 0x143n,
  inPlace: 1n,
  noStatus: 0n,
  serialized: 2048,
};

const MPICH: Abi = {
  name: "mpich",
  handle: "i32",
  world: 0x44000000,
  float: 0x4c00040a,
  byte: 0x4c00010d,
  sum: 0x58000003,
  errorsReturn: 0x54000001,
  inPlace: 0xffff_ffff_ffff_ffffn,
  noStatus: 1n,
  serialized: 2,
};

const PROBE = {
  MPI_Get_library_version: { parameters: ["buffer", "buffer"], result: "i32" },
  MPI_Abi_get_version: { parameters: ["buffer", "buffer"], result: "i32", optional: true },
  // A static of type pointer is the symbol's own address, which is Open MPI's handle.
  ompi_mpi_comm_world: { type: "pointer", optional: true },
  ompi_mpi_float: { type: "pointer", optional: true },
  ompi_mpi_byte: { type: "pointer", optional: true },
  ompi_mpi_op_sum: { type: "pointer", optional: true },
  ompi_mpi_errors_return: { type: "pointer", optional: true },
} as const;

/** A library that was recognised. */
export interface FoundAbi {
  readonly abi: Abi;
  /** Such as `Open MPI v4.1.4`. */
  readonly version: string;
}

/** Finds out which interface a library has. @throws if it cannot be loaded, or is no MPI. */
export function detectAbi(path: string): FoundAbi {
  const { symbols } = Deno.dlopen(path, PROBE);
  const text = new Uint8Array(8192),
    length = new Int32Array(1),
    major = new Int32Array([-1]),
    minor = new Int32Array(1);
  symbols.MPI_Get_library_version(text, length);
  const version = new TextDecoder().decode(text.subarray(0, length[0])).split("\n")[0].replace(/[\0,].*/, "").trim();
  symbols.MPI_Abi_get_version?.(major, minor);
  if (symbols.ompi_mpi_comm_world) {
    const abi: Abi = {
      name: "open-mpi",
      handle: "pointer",
      world: symbols.ompi_mpi_comm_world,
      float: symbols.ompi_mpi_float!,
      byte: symbols.ompi_mpi_byte!,
      sum: symbols.ompi_mpi_op_sum!,
      errorsReturn: symbols.ompi_mpi_errors_return!,
      inPlace: 1n,
      noStatus: 0n,
      serialized: 2,
    };
    return { abi, version };
  }
  return { abi: major[0] >= 1 ? STANDARD : MPICH, version };
}
