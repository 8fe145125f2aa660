/** Python, where a test can hold what it wrote against the packages that others read it with. */

/**
 * The Python that has a module: `python3`, or what MNEME_PYTHON names.
 * @returns Undefined where there is none, or where it may not be run.
 */
export async function python(module: string): Promise<string | undefined> {
  for (const program of [environment("MNEME_PYTHON"), "python3"]) {
    if (program === undefined) continue;
    try {
      const args = ["-c", `import ${module}`];
      const { success } = await new Deno.Command(program, { args, stdout: "null", stderr: "null" }).output();
      if (success) return program;
    } catch {
      // There is none, or it may not be run.
    }
  }
}

function environment(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
}
