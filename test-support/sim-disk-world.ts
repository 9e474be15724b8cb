/**
 * A simulated host with a disk and one process, driven by hand.
 *
 * Owns: starting processes one after the other, waiting, comparing bytes without the cost of `toEqual`.
 */
import { expect } from "vitest";
import { equalBytes } from "../src/base/bytes.js";
import type { Disk, DiskFile } from "../src/ports/disk.js";
import { DiskError } from "../src/ports/disk.js";
import { SimProcess } from "../src/sim/process.js";
import { Scheduler } from "../src/sim/scheduler.js";
import { SimDisk } from "../src/sim/sim-disk.js";

export const sector = 512;

export interface DiskWorld {
  readonly scheduler: Scheduler;
  readonly disk: SimDisk;
  process: SimProcess;
  port: Disk;
}

/** Another process on the same host. */
export function start(scheduler: Scheduler, disk: SimDisk): DiskWorld {
  const process = new SimProcess(scheduler, "a", {
    turnMsMax: 0.1,
    onThrow: (cause) => {
      throw cause;
    },
  });
  return { scheduler, disk, process, port: disk.attach(process) };
}

/** A host with a directory `d` and a process. */
export function newWorld(seed: number): DiskWorld {
  const scheduler = new Scheduler(seed);
  const world = start(scheduler, new SimDisk(scheduler, "a"));
  world.port.makeDirectory("d");
  return world;
}

/** kill -9, and the next process. */
export function killAndStart(world: DiskWorld): void {
  world.process.kill();
  Object.assign(world, start(world.scheduler, world.disk));
}

export function cutAndStart(world: DiskWorld): void {
  world.process.kill();
  world.disk.powerCut();
  Object.assign(world, start(world.scheduler, world.disk));
}

export function runFor(world: DiskWorld, ms: number): void {
  const until = world.scheduler.now + ms;
  while (world.scheduler.step(until));
}

export function pattern(length: number, value: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => ((value * 31 + at * 7) % 250) + 1);
}

/** A file of zeros whose name and size are durable, as the log uses them. */
export function prefilled(world: DiskWorld, path: string, length: number): DiskFile {
  const file = world.port.openFile(path, "create");
  file.writeNow(0, new Uint8Array(length));
  file.syncNow();
  world.port.syncDirectory("d");
  return file;
}

/** Writes and lets it complete; what it answered. */
export function write(world: DiskWorld, file: DiskFile, at: number, bytes: Uint8Array): DiskError | undefined {
  let answer: DiskError | undefined | "none" = "none";
  file.write(at, [bytes], (failure) => (answer = failure));
  runFor(world, 1_000);
  if (answer === "none") throw new Error("the write did not complete");
  return answer;
}

/** As `toEqual`, which takes milliseconds for a kilobyte. */
export function expectBytes(actual: Uint8Array, wanted: Uint8Array): void {
  if (equalBytes(actual, wanted)) return;
  const at = actual.findIndex((byte, index) => byte !== wanted[index]);
  expect.fail(`${actual.length} bytes, wanted ${wanted.length}; at ${at}: ${actual[at]}, wanted ${wanted[at]}`);
}

export function codeOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (error instanceof DiskError) return error.code;
    throw error;
  }
}
