/**
 * Loaded into the replicas of a soak by `--import`: tells what memory is alive, which resident memory does not.
 *
 * V8 keeps pages that it may need again, so resident memory drifts for a long time although nothing leaks. On SIGUSR2 a process
 * collects its garbage and writes what is left to the file `<pid>.json` of the folder in `SOAK_DIRECTORY`.
 */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const directory = process.env["SOAK_DIRECTORY"];

if (directory !== undefined) {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  process.on("SIGUSR2", () => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    const path = join(directory, `${process.pid}.json`);
    writeFileSync(`${path}.new`, JSON.stringify({ heapUsed, arrayBuffers }));
    renameSync(`${path}.new`, path);
  });
}
