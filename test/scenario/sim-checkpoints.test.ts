/** Hazards of checkpoints and of the transfer of state, told of whole clusters: S1 to S10. */
import { expect, test } from "vitest";

import { hexOf } from "../../src/base/bytes.js";
import {
  append,
  groupOf,
  network,
  quick,
  recordsOf,
  text,
  textOf,
  type Story,
} from "../../test-support/sim-stories.js";

/** A checkpoint after every 20 entries, of many chunks. */
const checkpoints = { logEntriesMax: 20, logBytesMax: 1_000_000, chunkBytes: 64 } as const;
const limits = { raft: quick, checkpoints } as const;

/** Not running until the others have given back entries that it lacks. */
function leftBehind(group: Story): string {
  const behind = group.anyOther(group.untilLeader());
  group.kill(behind);
  const { lastIndex } = group.raft(behind).log;
  for (let round = 0; round < 20 && startOf(group) <= lastIndex; round += 1) append(group, 5);
  expect(startOf(group)).toBeGreaterThan(lastIndex);
  return behind;
}

/** The last entry that the leader has given back. */
function startOf(group: Story): number {
  return group.raft(group.untilLeader()).log.start.index;
}

function filesOf(group: Story, id: string, pattern: RegExp): readonly string[] {
  const directory = `${group.replica(id).dataDir}/checkpoints`;
  const names = group.disk(id).list(directory);
  return names.filter((name) => pattern.test(name)).map((name) => `${directory}/${name}`);
}

function rot(group: Story, id: string, pattern: RegExp): void {
  const paths = filesOf(group, id, pattern);
  expect(paths.length).toBeGreaterThan(0);
  for (const path of paths) group.spoil(id).flipBit(path, 3, 1);
}

function fetched(group: Story, id: string): number {
  return group.replica(id).opened?.core.status().counters.checkpointsFetched ?? 0;
}

test("S3, S9: whenever the power goes while a checkpoint is fetched and put in place, the next start has an old state or the new one", () => {
  let installed = 0;
  let left = 0;
  for (let cutAfterMs = 16; cutAfterMs < 56; cutAfterMs += 1) {
    const group = groupOf(5, { seed: 3, limits, plan: { network: network(4) } });
    const behind = leftBehind(group);
    group.start(behind).pass(cutAfterMs);
    if (filesOf(group, behind, /\.chunk$/).length > 0 && filesOf(group, behind, /\.manifest$/).length === 0) left += 1;
    group.powerCut(behind).start(behind);

    expect(group.replica(behind).lostBecause).toBeUndefined();
    if (group.replica(behind).opened?.loaded !== undefined) installed += 1;
    append(group, 3);
    group.untilQuiet();
    expect(group.executed(behind)).toBe(group.raft(group.untilLeader()).log.lastIndex);
    group.conclude();
  }
  // Both sides of the moment at which the new state counts were met, and the time in between.
  expect(installed).toBeGreaterThan(5);
  expect(installed).toBeLessThan(35);
  expect(left).toBeGreaterThan(0);
});

test("S6: a log that is given back while a follower is served from it sends the checkpoint instead", () => {
  const group = groupOf(5, {
    seed: 6,
    limits: { ...limits, raft: { ...quick, logCacheBytes: 1_000, inflightCountMax: 2 } },
  });
  const leader = group.untilLeader();
  const slow = group.anyOther(leader);
  group.narrow(leader, slow, 1);
  append(group, 60);
  group.until("the log to be given back", () => group.raft(leader).log.start.index > group.raft(slow).log.lastIndex);
  group.heal().untilQuiet();

  expect(fetched(group, slow)).toBeGreaterThan(0);
  group.conclude();
});

test("S7: a checkpoint that has rotted on one disk comes from the other, and whoever lost it gets it back", () => {
  for (const pattern of [/\.chunk$/, /\.manifest$/, /^certificate$/]) {
    const group = groupOf(5, { seed: 7, limits });
    for (let round = 0; round < 20; round += 1) append(group, 20);
    group.untilQuiet();
    const hurt = group.anyOther(group.untilLeader());
    group.kill(hurt);
    rot(group, hurt, pattern);
    group.start(hurt);

    const { log, loaded } = group.replica(hurt).opened ?? {};
    expect(log?.recovered.start.index).toBeGreaterThan(0);
    expect(loaded === undefined).toBe(!pattern.test("certificate"));
    expect(group.raft(hurt).trust).toBe(loaded === undefined ? "damaged" : "whole");
    group.until("its state", () => group.executed(hurt) === group.raft(group.untilLeader()).log.lastIndex);
    // The others may go: it is whole again, on its own disk too.
    append(group, 60);
    group
      .untilQuiet()
      .powerCut(...group.replicas)
      .start(...group.replicas);
    expect(text(group)).toBe(textOf(465));
    group.untilQuiet().conclude();
  }
});

/** All chunks that only the newest checkpoint names are other ones on this disk, which nobody uses. */
function rotNewest(group: Story, id: string): void {
  const { all } = group.replica(id).opened?.checkpoints ?? { all: [] };
  const [newest, ...older] = all.map(({ chunks }) => chunks.map(({ hash }) => hexOf(hash)));
  const alone = (newest ?? []).filter((hex) => !older.flat().includes(hex));
  group.kill(id);
  rot(group, id, new RegExp(`^(${alone.join("|")})\\.chunk$`));
}

test("S7: where the newest checkpoint is damaged on every disk, all begin with the one before it and the log since", () => {
  const group = groupOf(5, { seed: 12, limits });
  // Enough for logs of several segments, of which the oldest were given back.
  for (let round = 0; round < 20; round += 1) append(group, 20);
  group.untilQuiet().pass(500);
  const certified = group.replicas.map((id) => group.replica(id).opened?.checkpoints.certified?.last.index);
  const fallbacks = group.replicas.map((id) => group.replica(id).opened?.checkpoints.fallback?.last.index);
  for (const id of group.replicas) rotNewest(group, id);
  group.start(...group.replicas);

  const loaded = group.replicas.map((id) => group.replica(id).opened?.loaded?.last.index);
  const starts = group.replicas.map((id) => group.replica(id).opened?.log.recovered.start.index ?? 0);
  expect(loaded).toEqual(fallbacks);
  expect(new Set(certified)).not.toEqual(new Set(fallbacks));
  expect(Math.min(...starts)).toBeGreaterThan(0);
  group.untilQuiet();
  expect(text(group)).toBe(textOf(405));
  expect(group.replicas.map((id) => fetched(group, id))).toEqual([0, 0, 0]);
  // The damage is found, and the next checkpoint is whole.
  append(group, 25);
  group.untilQuiet().pass(500);
  expect(group.replicas.map((id) => group.replica(id).opened?.checkpoints.isDamaged)).toEqual([false, false, false]);
  group.conclude();
});

test("S7, S9: whenever a process ends while it exchanges its checkpoints, the older one and the newer one are there with all that they need", () => {
  const loaded = new Set<string>();
  const manifests = new Set<number>();
  for (let operations = 1; operations < 16; operations += 1) {
    const group = groupOf(45, { seed: 13, limits });
    group.pass(500);
    const hurt = group.anyOther(group.untilLeader());
    const before = group.replica(hurt).opened?.checkpoints.all.map(({ last }) => last.index) ?? [];
    expect(before.length).toBe(2);
    group.disk(hurt).crashAfterOperations(operations);
    append(group, 25);
    group.pass(500);
    if (!group.replica(hurt).isUp) manifests.add(filesOf(group, hurt, /\.manifest$/).length);
    group.disk(hurt).crashAfterOperations(0);
    if (group.replica(hurt).isUp) group.kill(hurt);
    group.start(hurt);
    const newest = group.replica(hurt).opened?.checkpoints.newest?.last.index;
    rotNewest(group, hurt);
    group.start(hurt);

    const found = group.replica(hurt).opened?.loaded?.last.index;
    loaded.add(found === undefined ? "none" : found === newest ? "newest" : "older");
    group.untilQuiet();
    expect(fetched(group, hurt)).toBe(0);
    expect(text(group)).toBe(textOf(70));
    group.conclude();
  }
  // Ended before the oldest was removed, and behind it.
  expect([...manifests].sort()).toEqual([2, 3]);
  expect([...loaded]).toEqual(["older"]);
});

test("S7: a follower is served although the first of its sources has only rotten chunks", () => {
  const group = groupOf(5, { seed: 8, limits });
  const behind = leftBehind(group);
  const leader = group.untilLeader();
  rot(group, leader, /\.chunk$/);
  group.start(behind).untilQuiet();

  expect(fetched(group, behind)).toBe(1);
  expect(group.replica(leader).isUp).toBe(true);
  group.conclude();
});

test("S8: a command whose answer was lost is answered from the table that came with a checkpoint, and not executed again", () => {
  const group = groupOf(5, { seed: 9, limits });
  const behind = leftBehind(group);
  const [one = "", other = ""] = group.others(behind);
  const client = group.client().id;
  // Executed, and the client hears nothing of it, until only the one that was left behind can answer.
  for (const id of [one, other]) group.cutOneWay(id, client);
  const asked = group.ask({ command: "add", input: { key: "once", value: 1 } });
  group.pass(500);
  for (const id of [one, other]) group.cutOneWay(client, id);
  // Behind the command too: so what it knows of it came with the state.
  for (let round = 0; round < 30; round += 1) group.replica(one).instruct({ kind: "checkpoint" }, () => {});
  group.start(behind);
  group.until("an answer from it", () => asked.end !== undefined, 20_000);
  group.heal();

  expect(fetched(group, behind)).toBe(1);
  expect(group.call({ query: "count", input: { key: "once" } })).toBe(1);
  group.untilQuiet().conclude();
});

test("S10: all replicas make the same bytes of the same entry", () => {
  const group = groupOf(5, { seed: 10, replicas: 5, limits });
  append(group, 45);
  group.untilQuiet().pass(1_000);
  const roots = group.replicas.map((id) => {
    const { newest } = group.replica(id).opened?.checkpoints ?? {};
    return newest === undefined ? "none" : `${newest.last.index} ${hexOf(newest.root)}`;
  });

  expect(roots[0]).toMatch(/^\d+ [0-9a-f]{64}$/);
  expect(new Set(roots).size).toBe(1);
  expect(new Set(group.replicas.map((id) => filesOf(group, id, /\.chunk$/).length)).size).toBe(1);
  group.conclude();
});

// Damage was found behind the newest own checkpoint, and everybody else had given that entry back: nobody could repair it, and as the log went on
// from there, nobody sent a checkpoint either (the sweep's seeds 12814 and 14560).
test("D11, S6: a damaged entry that the others have given back comes as a checkpoint", () => {
  // Where only the newest checkpoint is kept: beside an older one the others would still have the entry.
  const onlyNewest = { ...limits, storage: { checkpointsBytesMax: 1 } };
  const group = groupOf(5, { seed: 11, limits: onlyNewest, plan: { network: network(4) } });
  const leader = group.untilLeader();
  const hurt = group.anyOther(leader);
  append(group, 20);
  // So long that the log has several segments: only whole ones are given back.
  for (let count = 0; count < 16; count += 1)
    group.ask({ command: "append", input: { key: "u", value: "u".repeat(2_000) } });
  group.until("the leader to give back", () => group.raft(leader).log.start.index >= 40);
  group.powerCut(hurt);
  expect(recordsOf(group, hurt).at(-1)?.index).toBeGreaterThan(40);
  // Its own checkpoint of entry 40 is as good as not written.
  rot(group, hurt, /40\.manifest$/);
  const record = recordsOf(group, hurt).find(({ index }) => index === 30);
  if (record === undefined) throw new Error("Entry 30 is not in the log");
  group.spoil(hurt).flipBit(record.path, record.bodyAt, 1);

  group.start(hurt).untilQuiet();

  expect(group.traceText(10_000)).toContain("no other replica has entry 30");
  expect(fetched(group, hurt)).toBeGreaterThan(0);
  expect(group.executed(hurt)).toBe(group.raft(group.untilLeader()).log.lastIndex);
  group.until("it to be trusted again", () => group.raft(hurt).trust === "whole");
  group.conclude();
});
