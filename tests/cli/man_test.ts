/** `man`: roff that says every command and flag, and nothing that roff would take for a request of its own. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { COMMANDS } from "../../cli/commands.ts";
import { flagName } from "../../cli/flags.ts";
import { runMain } from "./run_main.ts";

Deno.test("man: the page has every command with its flags, in roff", async () => {
  const { code, stdout, stderr } = await runMain("man");
  assertEquals([code, stderr], [0, ""]);
  assert(stdout.startsWith(".TH MNEME 1 "), stdout.slice(0, 80));
  const sections = stdout.split(/^\.SS /m).slice(1);
  assertEquals(sections.map((section) => section.split("\n")[0]), Object.keys(COMMANDS));
  Object.values(COMMANDS).forEach(({ flags }, i) => {
    for (const key of Object.keys(flags)) {
      assertStringIncludes(sections[i], `\n.TP\n\\fB${flagName(key).replaceAll("-", "\\-")}\\fR`);
    }
  });
  const requests = new Set(stdout.split("\n").filter((line) => /^[.']/.test(line)).map((line) => line.split(" ")[0]));
  assertEquals([...requests].sort(), [".B", ".I", ".PP", ".SH", ".SS", ".TH", ".TP", ".br"]);
  assert(!/\\(?![-e&]|f[BIR])/.test(stdout), "no escapes but those of hyphens, backslashes, periods and fonts");
  assert(!stdout.includes("deno task train"), "it is the manual of the executable");
  assertEquals((await runMain("man", "train")).code, 2);
});
