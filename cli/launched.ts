/** How many processes a launcher such as mpirun or srun started together, as far as the environment says. */

/** What Open MPI, MPICH and its descendants, and Slurm's srun say. */
export const LAUNCHER_VARIABLES = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"] as const;

/**
 * The number of processes; 1 where no launcher says otherwise, or where its variables may not be read.
 * @param read Reads a variable.
 */
export function launchedProcesses(read: (name: string) => string | undefined = readable): number {
  return Math.max(1, ...LAUNCHER_VARIABLES.map((name) => Number(read(name) ?? 1) || 1));
}

function readable(variable: string): string | undefined {
  return Deno.permissions.querySync({ name: "env", variable }).state === "granted" ? Deno.env.get(variable) : undefined;
}
