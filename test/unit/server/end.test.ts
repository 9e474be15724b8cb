/** A command that ends loses nothing of what it wrote, however slowly it is read. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

const bytes = 1_000_000;
const program = `
  import { endProcess } from ${JSON.stringify(new URL("../../../dist/server/end.js", import.meta.url).href)};
  process.stdout.write("x".repeat(${bytes}));
  await endProcess(3);`;

/** Its standard output goes through a pipe of the operating system to `reader`; how it ended is told on standard error. */
function readBy(reader: string) {
  const { stdout, stderr } = spawnSync(
    "sh",
    ["-c", `{ "$0" --input-type=module -e "$1"; echo $? >&2; } | ${reader}`, process.execPath, program],
    {
      encoding: "utf8",
      maxBuffer: 2 * bytes,
    },
  );
  return { read: stdout.length, exitCode: stderr.trim() };
}

test("what a pipe cannot hold waits for its reader", () => {
  expect(readBy("cat")).toEqual({ read: bytes, exitCode: "3" });
});

test("a reader that has gone is not waited for", () => {
  expect(readBy("head -c 1")).toEqual({ read: 1, exitCode: "3" });
});
