/**
 * A copy of the build with one planted bug, in a temporary directory. The product itself is never changed.
 *
 * Owns: the copy and its removal, however the process ends short of being killed. Leaves to others: the change (`sim/planted-bugs.ts`).
 * Called by `planted.ts`.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { constants, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { plant, type PlantedBug } from "../../sim/planted-bugs.js";
import { CommandFailure, exitCodes } from "../exit-codes.js";

const dist = fileURLToPath(new URL("../../", import.meta.url));

export interface PlantedTree {
  /** What a thread of this copy runs. */
  readonly worker: URL;
  remove(): void;
}

export function plantTree(bug: PlantedBug): PlantedTree {
  const planted = plant(bug, readFileSync(join(dist, bug.file), "utf8"));
  if (planted.kind === "refused") throw new CommandFailure(exitCodes.failure, planted.reason, {});
  const root = mkdtempSync(join(tmpdir(), "quorate-planted-"));
  const removeRoot = (): void => rmSync(root, { recursive: true, force: true });
  process.once("exit", removeRoot);
  cpSync(dist, join(root, "dist"), { recursive: true, filter: (path) => !/\.(d\.ts|tsbuildinfo)$/.test(path) });
  writeFileSync(join(root, "dist", bug.file), planted.code);
  writeFileSync(join(root, "package.json"), '{ "type": "module" }\n');
  symlinkSync(dependencies(), join(root, "node_modules"));
  return {
    worker: pathToFileURL(join(root, "dist", "server", "sim", "worker.js")),
    remove: () => {
      process.off("exit", removeRoot);
      removeRoot();
    },
  };
}

/** The folder that our packages are installed in: ours, or the one that we are in ourselves. */
function dependencies(): string {
  return dirname(dirname(createRequire(import.meta.url).resolve("zod/package.json")));
}

/** A signal that nobody handles would leave the copy where it is. */
export function exitOnSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
  }
}
