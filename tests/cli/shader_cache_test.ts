/** The folder in which drivers keep compiled shaders. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { spawnMain } from "./run_main.ts";
import { withFolder } from "./scratch.ts";

const SCRIPT = `
  import { compile, requestDevice, spec } from "@mneme/titans";
  import { exp } from "@mneme/titans/ops";
  const device = await requestDevice({ kind: "webgpu", shaderCacheDirectory: DIRECTORY });
  const program = await compile(device, exp, [spec([64])]);
  const { data } = await program.run(new Float32Array(64).fill(1));
  device.dispose();
  console.log(data[63]);
`;

Deno.test("shader cache: the driver keeps compiled shaders in the folder", () =>
  withFolder(async (folder) => {
    const directory = `${await Deno.realPath(folder)}/shaders`;
    const args = ["eval", "--ext=ts", SCRIPT.replace("DIRECTORY", JSON.stringify(directory))];
    const { code, stdout, stderr } = await new Deno.Command("deno", {
      args,
      env: { MESA_SHADER_CACHE_DISABLE: "false" },
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    assert(Math.abs(Number(new TextDecoder().decode(stdout)) - Math.E) < 1e-5);
    assert(await countFiles(directory) > 0, "no file was written");
  }));

Deno.test("shader cache: without permission to set the environment, one line says which to give", () =>
  withFolder(async (folder) => {
    const { code, stderr } = await spawnMain(["info", "--device", "webgpu", "--shader-cache", `${folder}/shaders`])
      .output();
    const text = new TextDecoder().decode(stderr).trim();
    assertMatch(
      text,
      /^error: Cannot keep compiled shaders in .*shaders: .*; run with --allow-env=MESA_SHADER_CACHE_DIR,__GL_SHADER_DISK_CACHE_PATH$/,
    );
    assertEquals(code, 1);
  }));

async function countFiles(directory: string): Promise<number> {
  let count = 0;
  for await (const entry of Deno.readDir(directory)) {
    count += entry.isDirectory ? await countFiles(`${directory}/${entry.name}`) : 1;
  }
  return count;
}
