/** Term and vote: what was reported is there after any crash and any single damage. */
import { describe, expect, test } from "vitest";
import { chooseSlot, encodeHardStateFile } from "../../../src/storage/hard-state.js";
import {
  directory,
  formattedDisk,
  hardStateOf,
  logIdentity,
  openedLog,
  smallSegment,
  testHash,
} from "../../../test-support/log-world.js";

const path = `${directory}/hard-state`;
const context = { hash: testHash, logIdentity };

describe("hard-state", () => {
  test("at rest both slots hold the newest state, so damage to either forgets nothing", () => {
    for (const slot of [0, 4096]) {
      for (let at = 0; at < 96; at += 1) {
        const disk = formattedDisk(smallSegment);
        const world = openedLog(disk, smallSegment);
        world.write({ hardState: hardStateOf(5, "b") });
        world.write({ hardState: hardStateOf(6, "c") });
        disk.damage(path, (bytes) => (bytes[slot + at] = (bytes[slot + at] ?? 0) ^ 4));

        const { recovered } = openedLog(disk, smallSegment);
        expect(recovered).toMatchObject({ hardState: { term: 6, votedFor: "c" }, amnesia: undefined });
      }
    }
  });

  test("with both slots damaged the replica is amnesiac", () => {
    const disk = formattedDisk(smallSegment);
    disk.damage(path, (bytes) => bytes.fill(1));

    expect(openedLog(disk, smallSegment).recovered).toMatchObject({
      amnesia: expect.any(String) as string,
      lastIndex: 0,
    });
  });

  test("a vote torn at any byte leaves the one before it", () => {
    const before = encodeHardStateFile({ sequence: 2, hardState: hardStateOf(1, "a") }, context);
    const after = encodeHardStateFile({ sequence: 3, hardState: hardStateOf(2, undefined) }, context);
    for (let cut = 0; cut <= 96; cut += 1) {
      const torn = before.slice();
      torn.set(after.subarray(4096, 4096 + cut), 4096);

      // The last byte that differs may come before the end of the slot.
      const found = chooseSlot(torn, context);
      const isWhole = Buffer.compare(torn.subarray(4096, 4192), after.subarray(4096, 4192)) === 0;
      expect(found).toMatchObject({ kind: "found", stored: { sequence: isWhole ? 3 : 2 } });
    }
  });

  test("a slot of another log is not taken", () => {
    const other = { hash: testHash, logIdentity: new Uint8Array(8) };
    const bytes = encodeHardStateFile({ sequence: 9, hardState: hardStateOf(9, "z") }, other);

    expect(chooseSlot(bytes, context)).toEqual({ kind: "lost" });
  });

  test("votes in quick succession complete in order, and the last one stays", () => {
    const disk = formattedDisk(smallSegment);
    const world = openedLog(disk, smallSegment);
    for (let at = 1; at <= 5; at += 1) world.begin({ hardState: hardStateOf(at, "a") });
    world.settle();
    disk.crash("nothing");

    expect(world.completed).toEqual([1, 2, 3, 4, 5]);
    expect(openedLog(disk, smallSegment).recovered.hardState).toEqual({ term: 5, votedFor: "a" });
  });

  test("D1: a vote whose flush failed is reported as failed, and nothing follows it", () => {
    const disk = formattedDisk(smallSegment);
    const world = openedLog(disk, smallSegment);
    disk.fail(/hard-state$/, "failed", 1);
    world.begin({ hardState: hardStateOf(1, "a") });
    world.begin({ hardState: hardStateOf(2, "a") });
    world.settle();

    expect(world.completed).toEqual([]);
    expect(world.failures.map(({ code }) => code)).toEqual(["broken", "broken"]);
  });
});
