/** Survivors of a lost majority, from their disks to a cluster that decides: also from the middle of a change of members, and with a learner's log. */
import { expect, test } from "vitest";
import { defaultLimits } from "../../src/api/config.js";
import { noEntry, type Entry } from "../../src/model/entry.js";
import { encodeMembership } from "../../src/model/membership-codec.js";
import type { Member, MemberRole } from "../../src/model/membership.js";
import { openReplica, type InlineReplica } from "../../src/replica/open-replica.js";
import { planRecovery } from "../../src/replica/recovery-plan.js";
import { holdSurvivor } from "../../src/replica/survivor.js";
import { openDataDirectory } from "../../src/storage/data-dir.js";
import {
  directory,
  entryOf,
  hardStateOf,
  logIdentity,
  openedLog,
  smallSegment,
  testHash,
} from "../../test-support/log-world.js";
import { ManualClock } from "../../test-support/manual-clock.js";
import { MemoryDisk } from "../../test-support/memory-disk.js";
import { MemoryNetwork } from "../../test-support/memory-network.js";
import { tally } from "../../test-support/tally-machine.js";

const member = (id: string, role: MemberRole = "voter"): Member => ({
  ...{ id, role, incarnation: 1, peer: `${id}:1`, client: `${id}:2` },
});
const founders = ["a", "b", "c", "d", "e"].map((id) => member(id));
const none = new Uint8Array(0);

function diskOf(id: string, entries: readonly Entry[]): MemoryDisk {
  const disk = new MemoryDisk();
  const opened = openDataDirectory({
    ...{ disk, hash: testHash, path: directory, clusterId: "old", replicaId: id, machine: tally.name },
    segmentBytes: smallSegment,
    bootstrap: { membership: { members: founders }, incarnation: 1, entropy: logIdentity },
  });
  if (opened.kind === "refused") throw new Error(opened.message);
  opened.release();
  const world = openedLog(disk, smallSegment);
  world.write({ hardState: hardStateOf(3, "e"), entries });
  world.log.close(() => {});
  world.settle();
  return disk;
}

/** As the command does it, for all of these together. */
function recover(disks: ReadonlyMap<string, MemoryDisk>) {
  const held = [...disks.values()].map((disk) => {
    const survivor = holdSurvivor({ disk, hash: testHash, clock: new ManualClock() }, directory);
    if (survivor.kind === "refused") throw new Error(survivor.message);
    return survivor;
  });
  const recovery = planRecovery({ survivors: held.map(({ survivor }) => survivor), to: "new", places: [] });
  if (recovery.kind === "refused") throw new Error(recovery.message);
  for (const each of held) each.goOn(recovery, "", (failure) => expect(failure).toBeUndefined());
  for (const disk of disks.values()) disk.settle();
  for (const each of held) each.close(() => {});
  for (const disk of disks.values()) disk.settle();
  return recovery;
}

/** Starts them and lets time pass until one leads and all have executed what its term begins with, behind `end`. */
function run(disks: ReadonlyMap<string, MemoryDisk>, end: number): ReadonlyMap<string, InlineReplica> {
  const clock = new ManualClock();
  const network = new MemoryNetwork(clock);
  const replicas = new Map<string, InlineReplica>();
  const broken: string[] = [];
  for (const [id, disk] of disks) {
    const entropy = { bytes: (count: number) => new Uint8Array(count).fill(id.charCodeAt(0)) };
    const options = { id, clusterId: "new", dataDir: directory, members: founders, bootstrap: false, join: false };
    const opened = openReplica(
      tally,
      { ...options, limits: defaultLimits },
      { clock, disk, network, hash: testHash, entropy },
      {
        roleChanged: () => {},
        healthChanged: () => {},
        found: () => {},
        quarantineChanged: () => {},
        broken: (reason) => broken.push(reason),
        peerChanged: () => {},
        dropped: () => {},
      },
    );
    if (opened.kind === "refused") throw new Error(opened.message);
    network.listen(`${id}:1`, (connect) => opened.core.engine.acceptPeer(connect));
    replicas.set(id, opened);
  }
  const isSettled = (): boolean =>
    [...replicas.values()].every(({ core }) => core.status().leader !== undefined && core.status().executedIndex > end);
  for (let count = 0; count < 20_000 && !isSettled(); count += 1) {
    clock.advance(1);
    for (const disk of disks.values()) disk.settle();
  }
  expect(broken).toEqual([]);
  expect(isSettled()).toBe(true);
  return replicas;
}

const membersOf = ({ core }: InlineReplica): readonly string[] =>
  core.status().members.map(({ id, role }) => `${id} ${role}`);

test("a change of members that was under way is left behind, and the longer log counts", () => {
  const joint = { members: founders.slice(0, 4), before: founders };
  const log = [
    entryOf("noop", { index: 1, term: 2, payload: none }),
    entryOf("noop", { index: 2, term: 3, payload: none }),
    entryOf("configuration", { index: 3, term: 3, payload: encodeMembership(joint) }),
    entryOf("noop", { index: 4, term: 3, payload: none }),
  ];
  const disks = new Map([
    ["a", diskOf("a", log.slice(0, 2))],
    ["b", diskOf("b", log)],
  ]);
  const recovery = recover(disks);
  expect(recovery).toMatchObject({ source: "b", entry: { index: 5, term: 4 }, gone: { from: 5 } });

  const replicas = run(disks, recovery.entry.index);
  for (const replica of replicas.values()) {
    expect(membersOf(replica)).toEqual(["a voter", "b voter"]);
    expect(replica.state.log.termAt(recovery.entry.index)).toBe(recovery.entry.term);
  }
});

test("a learner with the best log leads the others, and an entry that only the old cluster would count is no more", () => {
  const withLearner = { members: [...founders.slice(0, 4), member("e", "learner")] };
  const configured = entryOf("configuration", { index: 1, term: 2, payload: encodeMembership(withLearner) });
  const noop = (index: number, term: number): Entry => entryOf("noop", { index, term, payload: none });
  const disks = new Map([
    ["a", diskOf("a", [configured, noop(2, 2), noop(3, 2), noop(4, 2), noop(5, 2), noop(6, 2)])],
    ["e", diskOf("e", [configured, noop(2, 2), noop(3, 3)])],
  ]);
  const recovery = recover(disks);
  expect(recovery).toMatchObject({ source: "e", entry: { index: 4, term: 4 } });

  const replicas = run(disks, recovery.entry.index);
  const [first] = replicas.values();
  expect(first?.core.status().leader).toBe("e");
  for (const replica of replicas.values()) {
    expect(membersOf(replica)).toEqual(["a voter", "e voter"]);
    expect(replica.state.log.has({ ...noEntry, ...recovery.entry })).toBe(true);
    expect(replica.state.log.termAt(noop(3, 3).index)).toBe(3);
  }
});
