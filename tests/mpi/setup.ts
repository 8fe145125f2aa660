/**
 * Open MPI for the tests of several ranks.
 *
 *     deno task setup:mpi    is there one? Where there is none, and apt and root are at hand, it is installed
 */
import { install, installCommand } from "../install.ts";
import { hasMpi } from "./ranks.ts";

const PACKAGES = ["openmpi-bin", "libopenmpi3"];

if (!await hasMpi()) await install("Open MPI for the tests of several ranks", ...PACKAGES);
// Not an error here: the tests that need it are left out, and say so.
console.error(
  await hasMpi()
    ? "MPI: mpirun is there"
    : `There is no mpirun, so the tests of several ranks are left out: run \`${installCommand(...PACKAGES)}\` as root`,
);
