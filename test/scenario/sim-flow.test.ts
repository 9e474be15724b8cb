/** Hazards of flow and progress, told of whole clusters: F2 to F10. */
import { expect, test } from "vitest";

import { scenario } from "../../src/sim/scenario.js";
import { calmNetwork } from "../../src/sim/plan.js";
import { append, groupOf, quick, rewriteTerms, text, textOf } from "../../test-support/sim-stories.js";

const add = { command: "add", input: { key: "c", value: 1 } } as const;

test("F2: large entries for a follower behind a narrow link stay within the bytes in flight, and heartbeats are in time", () => {
  const group = groupOf(0, {
    seed: 2,
    limits: {
      raft: { inflightBytesMax: 65_536, appendBytesMax: 16_384, logCacheBytes: 100_000 },
      admission: { batchBytesMax: 16_384 },
      storage: { segmentBytes: 262_144 },
    },
  });
  const leader = group.untilLeader();
  const behind = group.anyOther(leader);
  const { term } = group.raft(leader);
  const value = "x".repeat(20_000);
  group.cutOff([behind]);
  const asked = Array.from({ length: 40 }, (_, at) => {
    return group.ask({ command: "append", input: { key: `k${at}`, value } });
  });
  group.untilEnded(asked);

  group.heal().narrow(leader, behind, 400);
  let most = 0;
  group.until(
    "the follower to catch up",
    () => {
      const { role, log } = group.raft(leader);
      const progress = role.kind === "leader" ? role.followers.get(behind)?.progress : undefined;
      if (progress?.mode === "replicate") most = Math.max(most, progress.inflight.bytes);
      return group.executed(behind) === log.lastIndex;
    },
    20_000,
  );

  expect(most).toBeGreaterThan(40_000);
  expect(most).toBeLessThan(65_536 + 25_000);
  expect(group.raft(leader).term).toBe(term);
  group.heal().untilQuiet().conclude();
});

test("F2: an entry that travels for longer than an election time-out, and than a link may be silent, costs no leader and no link", () => {
  const limits = {
    raft: { electionTimeoutMsMin: 1_000, electionTimeoutMsMax: 2_000 },
    transport: { peerSilenceMsMax: 2_000 },
    storage: { segmentBytes: 2_097_152 },
  };
  const group = scenario({ seed: 4, limits });
  const leader = group.untilLeader();
  const { term } = group.raft(leader);
  const told = group.world.trace.lines.length;
  for (const from of group.replicas) for (const to of group.others(from)) group.narrow(from, to, 300);

  const asked = group.ask({ command: "append", input: { key: "t", value: "x".repeat(900_000) } });
  group.pass(2_900);
  // It is still on its way to both.
  expect(asked.end).toBeUndefined();
  group.until("the entry to be executed", () => asked.end, 10_000);

  expect(asked.end).toMatchObject({ kind: "answered", reply: { status: "ok" } });
  expect(group.raft(leader).term).toBe(term);
  const since = group.world.trace.lines.slice(told);
  expect(since.filter((line) => / (has lost|is candidate|is follower) /.test(line))).toEqual([]);
  group.heal().untilQuiet().conclude();
});

test("F3: a follower whose disk stood still for ten seconds catches up within five, and nobody is started again", () => {
  for (const isCut of [false, true]) {
    const group = groupOf(3, { seed: 3, limits: { raft: { inflightCountMax: 4 } } });
    const leader = group.untilLeader();
    const stalled = group.anyOther(leader);
    const { process } = group.replica(stalled);

    group.disk(stalled).stick();
    for (let round = 0; round < 50; round += 1) {
      group.ask(add);
      group.pass(200);
      if (isCut && round % 10 === 5) group.reset(leader, stalled);
    }
    const { lastIndex } = group.raft(leader).log;
    expect(group.raft(stalled).writes.durableIndex).toBeLessThan(lastIndex - 40);
    group.disk(stalled).unstick();

    group.until("the follower's disk to catch up", () => group.raft(stalled).writes.durableIndex >= lastIndex, 5_000);
    expect(group.replica(stalled).process).toBe(process);
    expect(group.leader).toBe(leader);
    group.conclude();
  }
});

test("F6: what a deposed leader sent minutes and terms ago, and what arrives twice and out of order, changes nothing", () => {
  const raft = { heartbeatMs: 500, electionTimeoutMsMin: 2_000, electionTimeoutMsMax: 4_000, tickMs: 100 };
  const network = { ...calmNetwork, delayMsMax: 50, duplicateChance: 0.5, reorderChance: 0.5 };
  // The connections outlive the first wait, and neither they nor the process outlive the second.
  for (const heldMs of [3_000, 120_000]) {
    const group = groupOf(5, {
      seed: 6,
      limits: { raft, transport: { peerSilenceMsMax: 600_000 } },
      plan: { network },
    });
    const deposed = group.untilLeader();
    const { lastIndex } = group.raft(deposed).log;

    const release = group.others(deposed).map((id) => group.hold(deposed, id));
    const asked = group.ask({ command: "append", input: { key: "held", value: "x" } }, { timeoutMs: 1_000 });
    group.until("an entry that nobody else has", () => group.raft(deposed).log.lastIndex > lastIndex);
    group.restart(group.untilLeader({ not: deposed }));
    if (heldMs > 10_000) group.restart(deposed);
    append(group, 5);
    group.pass(heldMs);
    const { term } = group.raft(group.untilLeader());
    for (const go of release) go();
    group.pass(5_000);

    expect(group.raft(group.untilLeader()).term).toBe(term);
    expect(text(group)).toBe(textOf(10));
    group.untilEnded([asked]);
    group.untilQuiet().conclude();
  }
});

test("F8: terms go on past 2^32, on disk too", () => {
  const group = groupOf(5, { seed: 8, limits: { raft: quick } });
  group.kill(...group.replicas);
  rewriteTerms(group, 2 ** 32 - 2);
  group.start(...group.replicas);

  for (let round = 0; round < 4; round += 1) group.restart(group.untilLeader()).pass(250);
  append(group, 5);
  const { term } = group.raft(group.untilLeader());
  group.powerCut(...group.replicas).start(...group.replicas);

  expect(term).toBeGreaterThan(2 ** 32);
  expect(group.raft(group.untilLeader()).term).toBeGreaterThan(term);
  expect(text(group)).toBe(textOf(10));
  group.untilQuiet().conclude();
});

test("F8: at the largest term nobody stands any more, nothing wraps, and clients are told", () => {
  const group = groupOf(5, { seed: 9, limits: { raft: quick } });
  group.kill(...group.replicas);
  rewriteTerms(group, 2 ** 52 - 3);
  group.start(...group.replicas);

  append(group, 5);
  for (let round = 0; round < 4; round += 1) group.restart(...group.replicas).pass(1_000);
  const asked = group.ask({ query: "get", input: { key: "t" } }, { timeoutMs: 2_000 });

  expect(group.untilEnded([asked])).toEqual(["refused TIMED_OUT"]);
  for (const id of group.replicas)
    expect(group.raft(id)).toMatchObject({ term: 2 ** 52 - 1, role: { kind: "follower" } });
  group.conclude();
});

test("F10: with thirty of a hundred packets lost a group goes on, with at most one election a minute", () => {
  const minutes = 2;
  let elections = 0;
  for (let seed = 1; seed <= minutes; seed += 1) {
    const plan = { network: { ...calmNetwork, lossChance: 0.3 } };
    const group = scenario({ seed, limits: { raft: { tickMs: 50 } }, plan });
    const { term } = group.raft(group.untilLeader());

    const asked = [];
    for (let round = 0; round < 300; round += 1) {
      asked.push(group.ask(add));
      group.pass(200);
    }

    const answered = asked.filter(({ end }) => end?.kind === "answered");
    expect(answered.length).toBeGreaterThan(asked.length / 2);
    elections += group.raft(group.untilLeader()).term - term;
    group.untilEnded(asked);
    group.untilQuiet().conclude();
  }
  expect(elections).toBeLessThanOrEqual(minutes);
});

// An election that nobody won was tried again in step: two candidates that drew from one millisecond, and whose timers are looked at every
// ten, met in each try, for ever.
test("F10: two replicas that are left elect a leader, although both try again within one tick", () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const group = groupOf(0, { seed, limits: { raft: { ...quick, reconnectElectionMsMax: 1 } } });
    for (let round = 0; round < 5; round += 1) {
      const leader = group.untilQuiet().untilLeader();
      group.kill(leader);
      group.untilLeader({ not: leader, within: 20 * quick.electionTimeoutMsMax });
      group.start(leader);
    }
    group.untilQuiet().conclude();
  }
});
