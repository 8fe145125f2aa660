/** Runs a script that drives a browser, and reads the JSON that it prints. */
import { assert } from "@std/assert";

/**
 * Runs a script of this folder.
 *
 * It may do anything: Playwright looks into /proc, for which Deno asks for all permissions. So the tests themselves, in
 * the process that calls, need none for it but starting Deno.
 * @param script Its file name.
 * @param timeoutMs After which it is ended; then the test fails.
 */
export async function runScript<Report>(script: string, timeoutMs = 300_000): Promise<Report> {
  const path = new URL(script, import.meta.url).pathname;
  const options: Deno.CommandOptions = {
    args: ["run", "--quiet", "--allow-all", path],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  };
  const child = new Deno.Command("deno", options).spawn();
  const timer = setTimeout(() => child.kill("SIGTERM"), timeoutMs);
  const { success, stdout, stderr } = await child.output();
  clearTimeout(timer);
  assert(success, `${script} failed: ${new TextDecoder().decode(stderr)}`);
  return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!) as Report;
}
