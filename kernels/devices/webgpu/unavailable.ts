/** Why there is no WebGPU device, in words. Imported where there is none. */
import type { Place } from "./host.ts";

/** How to get a WebGPU device in an environment. */
function remedy({ runtime, os, hasApi }: Place): string {
  if (runtime === "browser") {
    return hasApi
      ? "turn on hardware acceleration and update the graphics driver"
      : "take a browser that has it, on a page from https or localhost";
  }
  // Neither has built-in WebGPU.
  if (!hasApi && runtime !== "deno") return "give it one, such as the package webgpu, as navigator.gpu";
  if (!hasApi) return "take Deno 2.5 or later, or run with --unstable-webgpu";
  if (os === "linux") {
    const packages = runtime === "deno"
      ? " (on Debian and Ubuntu: apt-get install mesa-vulkan-drivers libvulkan1)"
      : "";
    return `install a Vulkan driver${packages}`;
  }
  return "update the graphics driver";
}

/** The error message: why there is no WebGPU device, how to get one, and which devices work anyway. */
export function unavailableText(place: Place): string {
  const name = { deno: "Deno", node: "Node", bun: "Bun", browser: "browser" }[place.runtime];
  const reason = place.hasApi
    ? "no adapter was found"
    : `this ${place.runtime === "browser" ? name : `version of ${name}`} has no WebGPU`;
  return `Cannot open a WebGPU device: ${reason}; ${remedy(place)}, or use the device "cpu", which needs none`;
}
