/** `quorate keygen`, and a start with its file, as an operator sees them. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { quorateMain } from "../../test-support/dev-cluster.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-keygen-"));
afterAll(() => rmSync(folder, { recursive: true }));

function quorate(...given: readonly string[]) {
  return spawnSync(process.execPath, [quorateMain, ...given], { encoding: "utf8", timeout: 60_000 });
}

test("the line it prints goes into the members' configuration, and a start with another key is refused", () => {
  const file = join(folder, "a.key");
  const made = quorate("keygen", file);
  expect(made.status).toBe(0);
  expect(made.stdout).toMatch(/^key = "ed25519:[0-9a-f]{64}"\n$/);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(quorate("keygen", file)).toMatchObject({ status: 2, stdout: "" });
  expect(quorate("keygen", "--show", file).stdout).toBe(made.stdout);

  const [, other = ""] = /"(.*)"/.exec(quorate("keygen", join(folder, "b.key")).stdout) ?? [];
  const data = ["--id", "a", "--cluster-id", "solo", "--data", join(folder, "a")];
  const start = quorate("start", ...data, "--key-file", file, "--member", `a=127.0.0.1:1,127.0.0.1:2,${other}`);

  expect(start.status).toBe(2);
  expect(start.stderr).toContain("it is not that of member a");
});
