/**
 * Programs that some tests talk through and that a machine may lack.
 *
 * Owns: the decision between skipping and failing. On a developer's machine a missing program skips the test and says why; with
 * CI set it fails, since the build server installs what tests need and a skipped test there would hide for ever.
 */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestContext } from "vitest";

function isInstalled(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false; // Not here: the next directory of the path may have it.
    }
  });
}

/** First line of a test that needs `program`. `from` names the Debian package that has it. */
export function requireTool(context: Pick<TestContext, "skip">, program: string, from: string): void {
  if (isInstalled(program)) return;
  const reason = `Cannot run ${program}: it is not installed (Debian: ${from})`;
  if (process.env["CI"] !== undefined) throw new Error(reason);
  process.stdout.write(`skipped: ${reason}\n`);
  context.skip(reason);
}
