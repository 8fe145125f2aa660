import { assertEquals } from "@std/assert";
import { type Machine, setUp } from "../../cli/setup.ts";

interface Case {
  readonly os?: string;
  readonly isRoot?: boolean;
  readonly hasApt?: boolean;
  /** What apt-get answers, call by call. */
  readonly apt?: readonly boolean[];
  /** What looking for an adapter finds, look by look: of Vulkan, of any driver, of Vulkan once it is installed. */
  readonly adapters: readonly (string | undefined)[];
}

async function runSetUp({ os = "linux", isRoot = true, hasApt = true, apt = [], adapters }: Case) {
  const said: string[] = [], ran: string[] = [];
  let looks = 0;
  const machine: Machine = {
    os,
    isRoot,
    findAdapter: (backend) => {
      assertEquals(backend, os === "linux" && looks !== 1 ? "vulkan" : "any");
      return Promise.resolve(adapters[looks++]);
    },
    hasApt: () => Promise.resolve(hasApt),
    apt: (args) => {
      ran.push(args[0]);
      return Promise.resolve(apt[ran.length - 1]);
    },
    say: (line) => said.push(line),
  };
  return { adapter: await setUp(machine), said, ran };
}

Deno.test("setup: an adapter that is there is taken, and nothing is installed or said", async () => {
  assertEquals(await runSetUp({ adapters: ["a GPU"] }), { adapter: "a GPU", said: [], ran: [] });
});

Deno.test("setup: without an adapter, root with apt gets the software driver and is told so", async () => {
  const { adapter, said, ran } = await runSetUp({ adapters: [undefined, undefined, "llvmpipe"], apt: [true] });
  assertEquals([adapter, ran], ["llvmpipe", ["install"]]);
  assertEquals(said, [
    "No WebGPU adapter was found. Installing a software Vulkan driver: apt-get install --yes --no-install-recommends mesa-vulkan-drivers libvulkan1",
    "Installed. WebGPU adapter: llvmpipe",
  ]);
});

Deno.test("setup: missing package lists are fetched once", async () => {
  const { adapter, ran } = await runSetUp({ adapters: [undefined, undefined, "llvmpipe"], apt: [false, true, true] });
  assertEquals([adapter, ran], ["llvmpipe", ["install", "update", "install"]]);
});

Deno.test("setup: where nothing can be installed, the last line is one error that says what to do", async () => {
  const last = async (machine: Case) => {
    const { adapter, said } = await runSetUp(machine);
    assertEquals(adapter, undefined);
    return said.at(-1);
  };
  const none = [undefined, undefined, undefined];
  assertEquals(
    await last({ adapters: none, isRoot: false }),
    "error: no WebGPU adapter was found: run `sudo apt-get install --yes --no-install-recommends mesa-vulkan-drivers libvulkan1` (a software Vulkan driver), then try again",
  );
  assertEquals(
    await last({ adapters: none, hasApt: false }),
    "error: no WebGPU adapter was found: install a Vulkan driver (Mesa's software driver will do) with this system's package manager",
  );
  assertEquals(
    await last({ adapters: none, os: "darwin" }),
    "error: no WebGPU adapter was found: install or update this machine's graphics driver",
  );
  assertEquals(
    await last({ adapters: none, apt: [false, false] }),
    "error: no WebGPU adapter was found: the installation failed; run `apt-get install --yes --no-install-recommends mesa-vulkan-drivers libvulkan1` yourself, then try again",
  );
  assertEquals(
    await last({ adapters: none, apt: [true] }),
    "error: no WebGPU adapter was found: mesa-vulkan-drivers and libvulkan1 are installed, yet there is no adapter of theirs; check that this machine's Vulkan loader finds them (vulkaninfo --summary)",
  );
});

Deno.test("setup: an adapter of OpenGL is replaced where that is possible, and taken where it is not", async () => {
  const both = await runSetUp({ adapters: [undefined, "llvmpipe of OpenGL", "llvmpipe of Vulkan"], apt: [true] });
  assertEquals([both.adapter, both.ran], ["llvmpipe of Vulkan", ["install"]]);
  const alone = await runSetUp({ adapters: [undefined, "llvmpipe of OpenGL"], isRoot: false });
  assertEquals(alone.adapter, "llvmpipe of OpenGL");
  assertEquals(alone.said, [
    "warning: the WebGPU adapter (llvmpipe of OpenGL) uses OpenGL: run `sudo apt-get install --yes --no-install-recommends mesa-vulkan-drivers libvulkan1` (a software Vulkan driver), then try again",
  ]);
  const failed = await runSetUp({ adapters: [undefined, "llvmpipe of OpenGL"], apt: [false, false] });
  assertEquals([failed.adapter, failed.said.length], ["llvmpipe of OpenGL", 2]);
});
