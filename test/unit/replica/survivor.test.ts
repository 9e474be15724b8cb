/** A survivor's disk: what is read from it, and a recovery that is cut short at any operation and done again. */
import { describe, expect, test } from "vitest";
import { decodeMembership, encodeMembership } from "../../../src/model/membership-codec.js";
import type { Member } from "../../../src/model/membership.js";
import { planRecovery, type Recovery } from "../../../src/replica/recovery-plan.js";
import { holdSurvivor, type HeldSurvivor } from "../../../src/replica/survivor.js";
import { KnownStore } from "../../../src/storage/known-store.js";
import { openDataDirectory } from "../../../src/storage/data-dir.js";
import {
  directory,
  entryAt,
  entryOf,
  hardStateOf,
  indexOf,
  logIdentity,
  openedLog,
  smallSegment,
  termOf,
  testHash,
} from "../../../test-support/log-world.js";
import { ManualClock } from "../../../test-support/manual-clock.js";
import { MemoryDisk, ProcessEnded, type Survival } from "../../../test-support/memory-disk.js";

const members: readonly Member[] = ["a", "b", "c"].map((id) => ({
  ...{ id, role: "voter" as const, incarnation: 1 },
  ...{ peer: `${id}:1`, client: `${id}:2` },
}));

function diskOfA(): MemoryDisk {
  const disk = new MemoryDisk();
  const opened = openDataDirectory({
    ...{ disk, hash: testHash, path: directory, clusterId: "shop", replicaId: "a", machine: "kv" },
    segmentBytes: smallSegment,
    bootstrap: { membership: { members }, incarnation: 1, entropy: logIdentity },
  });
  if (opened.kind === "refused") throw new Error(opened.message);
  opened.release();
  const world = openedLog(disk, smallSegment);
  world.write({ hardState: hardStateOf(3, "b"), entries: [entryAt(1, 2, "x"), entryAt(2, 3, "y")] });
  world.settle();
  world.log.close(() => {});
  world.settle();
  return disk;
}

function held(disk: MemoryDisk): HeldSurvivor {
  const found = holdSurvivor({ disk, hash: testHash, clock: new ManualClock() }, directory);
  if (found.kind === "refused") throw new Error(found.message);
  return found;
}

function planOf(survivor: HeldSurvivor): Recovery {
  const recovery = planRecovery({ survivors: [survivor.survivor], to: "shop-2", places: [] });
  if (recovery.kind === "refused") throw new Error(recovery.message);
  return recovery;
}

/** True if it was done to its end. */
function goOn(disk: MemoryDisk, recovery: Recovery): boolean {
  const survivor = held(disk);
  let isDone = false;
  survivor.goOn(recovery, "all about it", (failure) => (isDone = failure === undefined));
  disk.settle();
  survivor.close(() => {});
  disk.settle();
  return isDone;
}

function close(disk: MemoryDisk, survivor: HeldSurvivor): void {
  survivor.close(() => {});
  disk.settle();
}

describe("survivor", () => {
  test("it tells its log's end, its term and its members, and changes nothing", () => {
    const disk = diskOfA();
    const survivor = held(disk);
    expect(survivor.survivor).toMatchObject({
      ...{
        clusterId: "shop",
        machine: "kv",
        id: "a",
        incarnation: 1,
        term: 3,
        committed: 0,
        executed: 0,
        flaw: undefined,
      },
      last: { index: 2, term: 3 },
      configuration: { index: 0, membership: { members } },
    });
    close(disk, survivor);
    const identity = openDataDirectory({
      ...{ disk, hash: testHash, path: directory, clusterId: "shop", replicaId: "a", machine: "kv" },
      ...{ segmentBytes: smallSegment, bootstrap: undefined },
    });
    // Looking is no start: this one is the second.
    expect(identity).toMatchObject({ kind: "opened", identity: { starts: 2 }, lost: [] });
  });

  test("what it knew to be committed counts, also beyond what its disk kept, and is forgotten with the old cluster", () => {
    const disk = diskOfA();
    const store = new KnownStore({ disk, hash: testHash, directory });
    store.write({ commitIndex: indexOf(5), peers: [] });
    disk.settle();
    const survivor = held(disk);
    const recovery = planOf(survivor);
    close(disk, survivor);
    expect(survivor.survivor.committed).toBe(5);
    expect(recovery).toMatchObject({ entry: { index: 3 }, uncertain: undefined, gone: { from: 3, certainTo: 5 } });
    expect(goOn(disk, recovery)).toBe(true);
    expectRecovered(disk);
    const after = held(disk);
    expect(after.survivor.committed).toBe(0);
    close(disk, after);
  });

  test("the newest configuration in its log counts, committed or not", () => {
    const disk = diskOfA();
    const world = openedLog(disk, smallSegment);
    const membership = { members: members.slice(0, 2), before: members };
    const payload = encodeMembership(membership);
    world.write({ entries: [entryOf("configuration", { index: 3, term: 3, payload })] });
    world.settle();
    world.log.close(() => {});
    world.settle();
    expect(held(disk).survivor).toMatchObject({ configuration: { index: 3, term: 3, membership } });
  });

  test("a directory that is in use, empty, or damaged beyond trust is refused", () => {
    const disk = diskOfA();
    const survivor = held(disk);
    const again = holdSurvivor({ disk, hash: testHash, clock: new ManualClock() }, directory);
    expect(again).toMatchObject({ kind: "refused", message: expect.stringContaining("in use") });
    close(disk, survivor);
    disk.damage(`${directory}/hard-state`, (bytes) => bytes.fill(0));
    const forgetful = holdSurvivor({ disk, hash: testHash, clock: new ManualClock() }, directory);
    expect(forgetful).toMatchObject({ kind: "refused", message: expect.stringContaining("counts as lost") });
    expect(holdSurvivor({ disk, hash: testHash, clock: new ManualClock() }, "nowhere")).toMatchObject({
      kind: "refused",
    });
  });

  test("afterwards the log makes the survivors the only members, and the directory says what was lost", () => {
    const disk = diskOfA();
    const survivor = held(disk);
    const recovery = planOf(survivor);
    close(disk, survivor);
    expect(goOn(disk, recovery)).toBe(true);
    expectRecovered(disk);
  });

  test.each<Survival>(["nothing", "everything", { seed: 5 }])(
    "cut short at any operation, %j of what was not synced surviving, it is done again",
    (survival) => {
      const recovery = planOf(held(diskOfA()));
      let operations = 0;
      for (let isWhole = false; !isWhole; operations += 1) {
        const disk = diskOfA();
        disk.endProcessAfter(operations);
        try {
          isWhole = goOn(disk, recovery);
        } catch (cause) {
          if (!(cause instanceof ProcessEnded)) throw cause;
        }
        disk.crash(survival);
        expectNeverBetween(disk);
        expect(goOn(disk, recovery)).toBe(true);
        expectRecovered(disk);
      }
      expect(operations).toBeGreaterThan(5);
    },
  );
});

/** The log of the new members is never found under the old cluster's id, where the lost ones would speak with it. */
function expectNeverBetween(disk: MemoryDisk): void {
  const survivor = held(disk);
  const { clusterId, last, configuration } = survivor.survivor;
  if (clusterId === "shop") expect([last.index, configuration.index]).toEqual([2, 0]);
  else expect(survivor.directory.record?.text).toBe("all about it");
  close(disk, survivor);
}

function expectRecovered(disk: MemoryDisk): void {
  const opened = openDataDirectory({
    ...{ disk, hash: testHash, path: directory, clusterId: "shop-2", replicaId: "a", machine: "kv" },
    ...{ segmentBytes: smallSegment, bootstrap: undefined },
  });
  expect(opened).toMatchObject({ kind: "opened", lost: [{ id: "b" }, { id: "c" }] });
  if (opened.kind === "opened") opened.release();
  const { recovered } = openedLog(disk, smallSegment);
  expect(recovered).toMatchObject({ lastIndex: 3, hardState: { term: termOf(4), votedFor: "a" } });
  const made = recovered.tail.at(-1);
  expect(made).toMatchObject({ kind: "configuration", index: 3, term: 4 });
  expect(decodeMembership(made?.payload ?? new Uint8Array())).toEqual({ members: members.slice(0, 1) });
  expect(made?.time).toBe(recovered.tail.at(-2)?.time);
}
