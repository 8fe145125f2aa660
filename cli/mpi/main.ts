/**
 * `train` on several ranks that MPI starts: `mpirun -n 4 deno task train:mpi ...`, `srun deno task train:mpi ...`, and
 * `profile`, which measures what ranks are worth.
 *
 * Every rank trains, the first one also writes the run folder and prints. An error that all ranks know of ends each of
 * them by itself; one that only one rank has is printed by that rank, which then ends the others.
 */
import { exitCode, formatError, UsageError } from "../errors.ts";
import type { Command } from "../help.ts";
import { launchedProcesses } from "../launched.ts";
import { AgreedError, nameOf, terminalOf } from "../ranks.ts";
import { runCommandLine } from "../run.ts";
import { processTerminal, type Terminal } from "../terminal.ts";
import { trainOn } from "../train.ts";
import { MpiCollective } from "./collective.ts";
import { LIBRARY_VARIABLE, openLibrary } from "./library.ts";
import { profileOn } from "./profile.ts";
import { machineShareOf } from "./threads.ts";

// A failure that all ranks have at once is left to the first one to report.
const LATER_MS = 500;

/** A command whose errors end all ranks. */
function endingAll(command: Command, ranks: MpiCollective, errors: Terminal): Command {
  return {
    ...command,
    run: async (args, terminal) => {
      try {
        return await command.run(args, terminal);
      } catch (error) {
        if (error instanceof AgreedError) {
          if (ranks.rank === 0) errors.err(`${error.line}\n`);
          return error.code;
        }
        if (ranks.size === 1) throw error;
        if (ranks.rank > 0) await new Promise((resolve) => setTimeout(resolve, LATER_MS));
        errors.err(`${nameOf(ranks)}${formatError(error, args.includes("--verbose"))}\n`);
        return ranks.abort();
      }
    },
  };
}

async function main(args: readonly string[]): Promise<number> {
  const terminal = processTerminal();
  let ranks: MpiCollective;
  try {
    const library = openLibrary(Deno.env.get(LIBRARY_VARIABLE)), launched = launchedProcesses();
    ranks = new MpiCollective(library);
    if (ranks.size === 1 && launched > 1) {
      throw new UsageError(
        `${launched} processes were launched together, and ${library.version} sees one of them: use its own mpirun, or name the launcher's library in ${LIBRARY_VARIABLE}`,
      );
    }
  } catch (error) {
    terminal.err(`${formatError(error, args.includes("--verbose"))}\n`);
    return exitCode(error);
  }
  const share = await machineShareOf(ranks);
  const train = endingAll(trainOn(ranks, share.threads), ranks, terminal);
  const profile = endingAll(profileOn(ranks, share), ranks, terminal);
  const code = await runCommandLine({ train, profile }, args, terminalOf(ranks, terminal));
  // Once one rank ends with an error, launchers end the others: all wait until the first one has saved everything.
  await ranks.finalize();
  return code;
}

Deno.exit(await main(Deno.args));
