/**
 * D5, D15: the process and the power may end at every single operation on the disk: of a bootstrap, of a segment roll, of the
 * recovery after it. Exhaustive, not random: the operations are counted, and each run ends at another one.
 */
import { describe, expect, test } from "vitest";
import { openDataDirectory } from "../../src/storage/data-dir.js";
import {
  bootstrap,
  directory,
  entryAt,
  formattedDisk,
  hardStateOf,
  openedLog,
  smallSegment,
  testHash,
} from "../../test-support/log-world.js";
import type { LogWorld } from "../../test-support/log-world.js";
import type { Survival } from "../../test-support/memory-disk.js";
import { MemoryDisk, ProcessEnded } from "../../test-support/memory-disk.js";

const writeCount = 14;

function text(index: number): string {
  return `entry ${index} `.padEnd(12_000, "y");
}

/** Rolls twice, three writes in flight. */
function fill(world: LogWorld): void {
  world.begin({ hardState: hardStateOf(1, "a") });
  for (let at = 1; at <= writeCount; at += 1) {
    world.begin({ entries: [entryAt(at, 1, text(at))] });
    if (at % 3 === 0) world.settle();
  }
  world.settle();
  world.clock.advance(10);
  world.settle();
}

/** Runs until the process ends; how many entries were acknowledged by then. */
function runUntilEnd(disk: MemoryDisk): { readonly acknowledged: number; readonly ended: boolean } {
  let world: LogWorld | undefined;
  let ended = false;
  try {
    world = openedLog(disk, smallSegment, 3);
    fill(world);
  } catch (error) {
    if (!(error instanceof ProcessEnded)) throw error;
    ended = true;
  }
  return { acknowledged: Math.max(0, (world?.completed.length ?? 0) - 1), ended };
}

function survivals(seed: number): readonly Survival[] {
  return ["nothing", "everything", { seed }, { seed: seed + 10_000 }];
}

function expectLog(disk: MemoryDisk, acknowledged: number): LogWorld {
  const world = openedLog(disk, smallSegment, 3);
  const { recovered } = world;
  expect(recovered.lastIndex).toBeGreaterThanOrEqual(acknowledged);
  expect(recovered).toMatchObject({ damaged: [], amnesia: undefined });
  for (const entry of recovered.tail) expect(entry.payload.length).toBe(12_000);
  expect(recovered.tail.map(({ index }) => index)).toEqual(recovered.tail.map((_, at) => at + 1));
  return world;
}

describe("storage at every operation", () => {
  test("D15: a log whose process ends at any operation starts again and has lost nothing acknowledged", () => {
    const formatted = formattedDisk(smallSegment);
    const counted = formatted.copy();
    runUntilEnd(counted);
    const operations = counted.operationCount - formatted.copy().operationCount;
    expect(operations).toBeGreaterThan(25);

    for (let at = 0; at < operations; at += 1) {
      for (const survival of survivals(at)) {
        const disk = formatted.copy();
        disk.endProcessAfter(at);
        const { acknowledged, ended } = runUntilEnd(disk);
        expect(ended).toBe(true);
        disk.crash(survival);

        const world = expectLog(disk, acknowledged);
        const next = world.recovered.lastIndex + 1;
        world.write({ hardState: hardStateOf(1, "a") });
        for (let more = 0; more < 8; more += 1) world.write({ entries: [entryAt(next + more, 1, text(next + more))] });
        disk.crash("nothing");
        expectLog(disk, next + 7);
      }
    }
  });

  test("D15: a recovery that ends at any operation is taken again, with the same outcome", () => {
    const formatted = formattedDisk(smallSegment);
    for (let at = 20; at < 60; at += 7) {
      const crashed = formatted.copy();
      crashed.endProcessAfter(at);
      const { acknowledged } = runUntilEnd(crashed);
      crashed.crash({ seed: at });
      const whole = crashed.copy();
      const outcome = openedLog(whole, smallSegment).recovered.lastIndex;

      for (let step = 0; step < whole.operationCount; step += 1) {
        for (const survival of survivals(step)) {
          const disk = crashed.copy();
          disk.endProcessAfter(step);
          expect(() => openedLog(disk, smallSegment)).toThrow(ProcessEnded);
          disk.crash(survival);

          expect(expectLog(disk, acknowledged).recovered.lastIndex).toBe(outcome);
        }
      }
    }
  });

  test("D15: a bootstrap that ends at any operation is completed by the next one, and by nothing else", () => {
    const whole = new MemoryDisk();
    bootstrap(whole, smallSegment);

    for (let at = 1; at < whole.operationCount; at += 1) {
      for (const survival of survivals(at)) {
        const disk = new MemoryDisk();
        disk.endProcessAfter(at);
        expect(() => bootstrap(disk, smallSegment)).toThrow(ProcessEnded);
        disk.crash(survival);

        if (!disk.exists(`${directory}/identity`)) expect(openWithoutBootstrap(disk)).toBe("empty");
        bootstrap(disk, smallSegment);
        expect(openedLog(disk, smallSegment).recovered).toMatchObject({ lastIndex: 0, amnesia: undefined });
        expect(openWithoutBootstrap(disk)).toBe("opened");
      }
    }
  });
});

function openWithoutBootstrap(disk: MemoryDisk): string {
  const opened = openDataDirectory({
    disk,
    hash: testHash,
    path: directory,
    clusterId: "test",
    replicaId: "a",
    machine: "kv",
    segmentBytes: smallSegment,
    bootstrap: undefined,
  });
  return opened.kind === "opened" ? "opened" : opened.code;
}
