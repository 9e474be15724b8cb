/**
 * Compiles the PBFT clusters of the tests (`test-support/bft-runs.ts`) into a folder of their own, since the build has no tests.
 *
 * Owns: that folder. Called by `soak-bft.mjs`, which removes it.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

export function compileRuns() {
  const folder = mkdtempSync(join(tmpdir(), "quorate-bft-runs-"));
  const options = ["--target", "ES2023", "--module", "NodeNext", "--types", "node"];
  const folders = ["--rootDir", ".", "--outDir", folder];
  const words = ["tsc", "--ignoreConfig", "--strict", ...options, ...folders, "test-support/bft-runs.ts"];
  execFileSync("npx", words, { cwd: root, stdio: "inherit" });
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
  return folder;
}

export const runsIn = (folder) => pathToFileURL(join(folder, "test-support/bft-runs.js")).href;
