/**
 * The thread that watches the one that executes: see `watchdog.ts`.
 *
 * Owns: telling that a call has run for too long. It counts its own looks and not the time: while the whole process is stopped nothing runs.
 */
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from "node:fs";
import { workerData } from "node:worker_threads";
import type { WatchTask } from "./watchdog.js";

const lookMs = 50;
/** A call that runs for so long is noted, in case that the process ends in it. */
const noteMs = 200;
const half = 2 ** 31;

const { shared, path, commandMsMax, suspect } = workerData as WatchTask;
let turn = 0;
let looks = 0;
let isNoted = false;

setInterval(look, lookMs);

function look(): void {
  const now = Atomics.load(shared, 0);
  if (now % 2 === 0 || now !== turn) {
    if (isNoted) rmSync(path, { force: true });
    isNoted = false;
    turn = now;
    looks = 0;
    return;
  }
  looks += 1;
  if (looks * lookMs === noteMs) note("running");
  if (looks * lookMs < commandMsMax) return;
  note("slow");
  const [, high = 0, low = 0, step = 0] = shared;
  const what =
    step < 0 ? "a query, or what says when the next sweep is due," : `step ${step} of entry ${high * half + low}`;
  writeSync(
    2,
    `quorate: ${what} has run for more than ${commandMsMax} ms (execution.commandMsMax): this process ends\n`,
  );
  process.kill(process.pid, "SIGKILL");
}

function note(why: "slow" | "running"): void {
  const [, high = 0, low = 0, step = 0] = shared;
  const index = high * half + low;
  // It may have ended meanwhile. What no entry asks for is not met again.
  if (Atomics.load(shared, 0) !== turn || step < 0) return;
  const count = suspect?.index === index && suspect.step === step ? suspect.count + 1 : 1;
  const file = openSync(path, "w", 0o600);
  writeSync(file, `${index} ${step} ${count} ${why}\n`);
  fsyncSync(file);
  closeSync(file);
  isNoted = true;
}
