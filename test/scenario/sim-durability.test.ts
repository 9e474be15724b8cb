/** Hazards of durability and of disks that lie, fail or forget, told of whole clusters: D1 to D18, M8, M10. */
import { expect, test } from "vitest";

import type { Term } from "../../src/model/ids.js";
import { recordHeaderBytes } from "../../src/storage/wal-format.js";
import {
  append,
  entryOf,
  flip,
  groupOf,
  quick,
  recordsOf,
  rewriteHardState,
  text,
  textOf,
} from "../../test-support/sim-stories.js";

test("D1: a replica whose sync failed once acknowledges nothing more, and takes nothing in the system's cache for durable", () => {
  for (let seed = 1; seed <= 4; seed += 1) {
    const group = groupOf(10, { seed, limits: { raft: quick } });
    const leader = group.untilLeader();
    const hurt = seed % 2 === 0 ? leader : group.anyOther(leader);

    group.disk(hurt).failSyncs(/log/, 1);
    // Of several sectors: some of them reach the disk, and the system takes all of them for written.
    const asked = group.ask({ command: "append", input: { key: "long", value: "x".repeat(4_000) } });
    group.until("it to step aside", () => !group.replica(hurt).isUp, 1_000);
    group.until("its next start", () => group.replica(hurt).isUp);
    group.untilEnded([asked]);
    append(group, 5);
    group
      .untilQuiet()
      .powerCut(...group.replicas)
      .start(...group.replicas);

    expect(group.raft(hurt).trust).toBe("whole");
    group.untilLeader();
    expect(text(group)).toBe(textOf(15));
    expect(group.call({ query: "get", input: { key: "long" } })).toHaveLength(4_000);
    group.untilQuiet().conclude();
  }
});

test("D3: one flipped bit in the middle of a log is damage, not the log's end, and the entry comes back from a peer", () => {
  for (const part of ["body", "header"] as const) {
    const group = groupOf(100, { seed: 3, limits: { raft: quick } });
    const hurt = group.anyOther(group.untilLeader());
    const last = group.raft(hurt).log.lastIndex;

    group.kill(hurt);
    flip(group, hurt, { index: 50, part });
    group.cutOff([hurt]).start(hurt).pass(300);
    expect(group.raft(hurt).trust).toBe("damaged");
    expect(group.raft(hurt).log.lastIndex).toBe(last);
    expect(group.raft(hurt).role).toMatchObject({ kind: "follower", leader: undefined });
    group.heal();

    group.until("the repair", () => group.raft(hurt).trust === "whole" && group.executed(hurt) >= last, 5_000);
    group.untilQuiet().conclude();
  }
});

test("D6: a power cut that keeps a later write and takes an earlier one leaves a log that ends before both", () => {
  let reordered = 0;
  for (let seed = 1; seed <= 8; seed += 1) {
    const group = groupOf(5, {
      seed,
      limits: { raft: quick, storage: { groupsInFlightMax: 4 }, admission: { pipelineMax: 16 } },
    });
    const [one = "", other = ""] = group.others(group.untilLeader());
    for (const id of [one, other])
      group.disk(id).speed = { latencyMsMin: 0.5, latencyMsMax: 3, spikeChance: 0, spikeMsMax: 0 };

    const asked = Array.from({ length: 30 }, (_, at) =>
      group.ask({ command: "add", input: { key: "c", value: at + 1 } }),
    );
    group.pass(4).powerCut(one, other).start(one, other);

    group.untilEnded(asked);
    expect(group.replica(one).lostBecause).toBeUndefined();
    group.untilQuiet().conclude();
    for (const id of [one, other]) reordered += group.disk(id).statistics.reordered;
  }
  expect(reordered).toBeGreaterThan(0);
});

test("D8: a record of another place, and one that was never written, are refused and repaired", () => {
  for (const how of ["misdirected", "lost"] as const) {
    const group = groupOf(80, { seed: 8, limits: { raft: quick } });
    const hurt = group.anyOther(group.untilLeader());
    const [from, to] = [entryOf(group, hurt, 40), entryOf(group, hurt, 60)];
    expect(from.end - from.at).toBe(to.end - to.at);

    group.kill(hurt);
    group.spoil(hurt).damage(to.path, (bytes) => {
      if (how === "misdirected") bytes.copyWithin(to.at, from.at, from.end);
      else bytes.fill(0, to.at, to.end);
    });
    group.start(hurt);
    expect(group.raft(hurt).trust).toBe("damaged");
    expect(group.raft(hurt).log.lastIndex).toBeGreaterThan(80);

    group.untilQuiet(5_000).powerCut(hurt).start(hurt);
    expect(group.raft(hurt).trust).toBe("whole");
    group.untilQuiet().conclude();
  }
});

test("D9: a replica with the longest log does not lead while it misses an entry that nobody here can give it", () => {
  const group = groupOf(20, { replicas: 5, seed: 9, limits: { raft: quick } });
  const leader = group.untilLeader();
  const [hurt = "", whole = "", ...behind] = group.others(leader);
  group.cutOff(behind);
  append(group, 20);
  group.pass(50);

  group.kill(leader, whole, hurt);
  flip(group, hurt, { index: 35, part: "body" });
  const terms = group.world.order.terms;
  group.heal().start(hurt).pass(3_000);
  expect(group.replica(hurt).isUp).toBe(true);
  expect(group.raft(hurt).log.lastIndex).toBeGreaterThan(group.raft(behind[0] ?? "").log.lastIndex);
  expect(group.world.order.terms).toBe(terms);
  group.start(whole);

  group.untilLeader();
  expect(text(group)).toBe(textOf(40));
  group.untilQuiet().conclude();
});

test("D10: replicas damaged in different places repair each other, and nothing is lost", () => {
  const group = groupOf(60, { seed: 10 });

  group.kill(...group.replicas);
  for (const [at, id] of group.replicas.entries()) {
    for (let index = 10 + at; index <= 60; index += 9) flip(group, id, { index, part: "body" });
  }
  group.start(...group.replicas);

  expect(group.replicas.map((id) => group.raft(id).trust)).toEqual(["damaged", "damaged", "damaged"]);
  group.untilLeader({ within: 10_000 });
  expect(text(group)).toBe(textOf(60));
  group.untilQuiet().conclude();
});

test("D11: an entry that is damaged everywhere stops the group there, and nothing wrong is served", () => {
  const group = groupOf(60, { seed: 11 });

  group.kill(...group.replicas);
  for (const id of group.replicas) flip(group, id, { index: 50, part: "body" });
  group.start(...group.replicas);
  const asked = [
    group.ask({ query: "get", input: { key: "t" } }, { timeoutMs: 5_000 }),
    group.ask({ command: "append", input: { key: "t", value: "lost," } }, { timeoutMs: 5_000 }),
  ];

  expect(group.untilEnded(asked)).toEqual(["refused TIMED_OUT", "unknown"]);
  for (const id of group.replicas) {
    expect(group.executed(id)).toBeLessThan(50);
    expect(group.replica(id).opened?.core.status().checks["whole"]).toBe(false);
    expect(group.traceText(10_000)).toContain(`${id.padEnd(8)}  drops damaged entry: no other replica has entry 50`);
  }
  group.conclude();
});

test("D13: replicas that are killed between executing a command and the next one execute each once", () => {
  for (let seed = 1; seed <= 3; seed += 1) {
    const group = groupOf(0, { seed, limits: { raft: quick } });
    const draw = group.world.draw("story");
    const asked = [];

    for (let round = 1; round <= 16; round += 1) {
      for (let one = 0; one < 3; one += 1) asked.push(group.ask({ command: "add", input: { key: "c", value: 1 } }));
      group.pass(draw.fraction() * 5).restart(draw.pick(group.replicas));
      if (round % 4 === 0) group.untilLeader();
    }

    group.untilEnded(asked);
    expect(group.call({ query: "count", input: { key: "c" } })).toBe(48);
    group.untilQuiet().conclude();
  }
});

test("D18: a term is on disk before any entry of it, so a power cut between the two files is never met", () => {
  const group = groupOf(5, { seed: 18, limits: { raft: quick } });
  const found = { termOnly: 0, both: 0 };

  for (let round = 0; round < 24; round += 1) {
    const leader = group.untilLeader();
    const cutHere = group.anyOther(leader);
    const { term } = group.raft(cutHere);
    group.disk(cutHere).speed = { latencyMsMin: 1, latencyMsMax: 2, spikeChance: 0, spikeMsMax: 0 };
    group.kill(leader).until("the next term", () => group.raft(cutHere).term > term);
    group
      .pass(round * 0.3)
      .powerCut(cutHere)
      .start(cutHere, leader);
    expect(group.replica(cutHere).lostBecause).toBeUndefined();
    const { hardState, terms } = group.replica(cutHere).opened?.log.recovered ?? { hardState: { term: 0 }, terms: [] };
    if (hardState.term > term) found[terms.at(-1)?.term === hardState.term ? "both" : "termOnly"] += 1;
  }

  expect(found.termOnly).toBeGreaterThan(2);
  expect(found.both).toBeGreaterThan(2);
  group.untilQuiet().conclude();
});

test("D18: a hard state that is older than the log remembers is refused, and the others go on", () => {
  for (const older of ["term", "vote"] as const) {
    const group = groupOf(5, { seed: 19, limits: { raft: quick } });
    group.restart(group.untilLeader()).untilQuiet();
    append(group, 5);
    const hurt = group.anyOther(group.untilQuiet().pass(50).untilLeader());

    group.powerCut(hurt);
    rewriteHardState(group, hurt, ({ sequence, hardState: { term } }) => {
      if (older === "term") return { sequence, hardState: { term: (term - 1) as Term, votedFor: undefined } };
      return { sequence: sequence - 1, hardState: { term, votedFor: undefined } };
    });
    group.start(hurt);

    expect(group.replica(hurt).lostBecause).toBe("amnesiac");
    group.untilLeader();
    expect(text(group)).toBe(textOf(10));
    group.untilQuiet().conclude();
  }
});

test("M8: a wiped disk does not come back under its old name, and helps nobody to forget", () => {
  const group = groupOf(10, { seed: 8, limits: { raft: quick } });
  const leader = group.untilLeader();
  const [wiped = "", behind = ""] = group.others(leader);
  group.cutOff([behind]);
  append(group, 10);

  group.powerCut(wiped);
  group.spoil(wiped).wipe();
  group.start(wiped).kill(leader);
  const terms = group.world.order.terms;
  group.heal().pass(3_000);
  expect(group.replica(wiped).lostBecause).toBe("empty");
  expect(group.world.order.terms).toBe(terms);
  group.start(leader);

  group.untilLeader();
  expect(text(group)).toBe(textOf(20));
  group.untilQuiet().conclude();
});

test("M10: a second process on one directory is refused while the first one lives, and no longer", () => {
  const group = groupOf(5, { seed: 10, limits: { raft: quick } });
  const twice = group.untilLeader();

  group.startTwice(twice);
  append(group, 5);
  expect(group.traceText()).toContain("refuses a second process: held");
  expect(group.leader).toBe(twice);
  group.restart(twice);

  expect(group.replica(twice).isUp).toBe(true);
  group.untilLeader();
  append(group, 5);
  group.untilQuiet().conclude();
});

// A leader with a damaged entry on its disk never served a follower that needed it: the entry had left its memory, each read of it failed,
// and the leader went on leading.
test("D9: a leader that cannot read an entry which a follower needs steps aside, repairs itself, and the follower catches up", () => {
  for (const how of ["misdirected", "lost"] as const) {
    const group = groupOf(10, { seed: 99, limits: { raft: { ...quick, logCacheBytes: 512 } } });
    const leader = group.untilLeader();
    const behind = group.anyOther(leader);
    group.kill(behind);
    append(group, 40);
    group.pass(50);

    const [other, hurt] = [entryOf(group, leader, 20), entryOf(group, leader, 30)];
    group.spoil(leader).damage(hurt.path, (bytes) => {
      if (how === "misdirected") bytes.copyWithin(hurt.at, other.at, other.end);
      else bytes.fill(0, hurt.at, hurt.end);
    });
    group.start(behind);

    group.until("the follower to catch up", () => group.executed(behind) > 50, 5_000);
    expect(group.traceText(10_000)).toContain(`${leader.padEnd(8)}  steps aside: Cannot read entry 30`);
    group.untilQuiet(5_000);
    expect(group.raft(leader).trust).toBe("whole");
    group.conclude();
  }
});

// A repaired record hid the entries behind it: its chain led on to it over the unreadable marker, so the log's index had no point behind
// the marker, and reading on from before it ended there.
test("D3: a repaired record does not hide what lies behind an unreadable marker", () => {
  const group = groupOf(10, { seed: 33, limits: { raft: { ...quick, logCacheBytes: 512 } } });
  const hurt = group.anyOther(group.untilLeader());
  // Long enough for a marker.
  group.untilQuiet().pass(50);
  append(group, 80);
  group.untilQuiet().pass(50);
  const records = recordsOf(group, hurt);
  const marker = records.findIndex(({ kind, index }) => kind === "marker" && index === group.executed(hurt) - 80);
  const [first, last] = [records[marker - 2], records[marker + 2]];
  if (first === undefined || last === undefined) throw new Error("There is no marker between entries");

  group.kill(hurt);
  group.spoil(hurt).damage(first.path, (bytes) => bytes.fill(0, first.at, last.end));
  group.start(hurt);
  expect(group.raft(hurt).trust).toBe("damaged");
  group.untilQuiet(5_000).powerCut(hurt).start(hurt);
  expect(group.raft(hurt).trust).toBe("whole");

  group.untilQuiet(5_000);
  expect(group.traceText(10_000)).not.toContain("steps aside");
  expect(recordsOf(group, hurt)).not.toContainEqual(records[marker]);
  group.conclude();
});

// A log whose segment had no room for the last marker never closed: it waited for a marker that it had not written.
test("a replica whose log has no room for its last marker stops all the same", () => {
  const segmentBytes = 16_384;
  const group = groupOf(3, { seed: 44, limits: { raft: quick, storage: { segmentBytes } } });
  let withoutRoom = 0;

  for (let round = 0; round < 4; round += 1) {
    const stopped = group.anyOther(group.untilLeader());
    const { lastIndex } = group.untilQuiet().pass(50).raft(stopped).log;
    const room = segmentBytes - (recordsOf(group, stopped).at(-1)?.end ?? 0);
    // Less than a marker's record is left behind this one, if there was room for it.
    const value = "x".repeat(Math.max(1, room - 250));
    group.ask({ command: "append", input: { key: "long", value } });
    group.until("the entry to be on disk", () => group.raft(stopped).writes.durableIndex > lastIndex);
    const rest = segmentBytes - (recordsOf(group, stopped).at(-1)?.end ?? 0);
    if (rest < recordHeaderBytes) withoutRoom += 1;

    group.stop(stopped).until("it to have stopped", () => !group.replica(stopped).isUp, 500);
    group.until("its next start", () => group.replica(stopped).isUp);
  }

  expect(withoutRoom).toBeGreaterThan(1);
  group.untilQuiet().conclude();
});
