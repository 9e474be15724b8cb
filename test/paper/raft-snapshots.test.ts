/** The rules of log compaction, one test each: section 7 of the Raft paper, and the hazards of snapshots that come late or twice. */
import { describe, expect, test } from "vitest";
import { append, Core, i, id, matchesOf, t } from "../../test-support/raft-core.js";

const install = (term: number, last: readonly [number, number], round = 1) =>
  ({ kind: "InstallSnapshot", term: t(term), round, last: id(...last) }) as const;
const fetches = (core: Core) => core.history.filter(({ kind }) => kind === "fetchCheckpoint");
const installed = (index: number, term: number) =>
  ({ kind: "installed", checkpoint: id(index, term), time: 0 }) as const;

/** Leads term 1 of a, b, c with `count` entries that b has, and has given back all up to `checkpoint`. */
function compactedLeader(count: number, checkpoint: number): Core {
  const texts = Array.from({ length: count - 1 }, (_, at) => `entry ${at + 2}`);
  const core = new Core({ voters: "abc" })
    .elect("b")
    .persisted()
    .propose(...texts)
    .persisted();
  // c is silent for so long that nothing is kept for it.
  for (let passed = 0; passed < 1_000; passed += 100) core.pass(100).acknowledged("b", count);
  return core.input({ kind: "checkpointed", checkpoint: id(checkpoint, 1) }).forget();
}

describe("a leader", () => {
  test("7: gives back what a certified checkpoint covers, and nothing behind it", () => {
    const core = compactedLeader(10, 6);

    expect(core.state.log.start).toEqual(id(6, 1));
    expect(core.state.log.termAt(i(7))).toBe(1);
    expect(core.state.log.entriesFrom(i(6), 1000)).toBeUndefined();
    expect(core.state.log.entriesFrom(i(7), 1000)?.length).toBe(4);
  });

  test("7: keeps what is not committed, whatever a checkpoint says", () => {
    const core = new Core({ voters: "abc" }).elect("b").persisted().propose("x", "y").persisted();
    core.input({ kind: "checkpointed", checkpoint: id(3, 1) });

    expect(core.state.log.start.index).toBe(0);
  });

  test("7: names its checkpoint to a follower that lacks what was given back, once and then with each heartbeat", () => {
    const core = compactedLeader(10, 6);
    core.input({ kind: "disconnected", peer: "c" }).input({ kind: "connected", peer: "c" });
    const first = core.sent("InstallSnapshot", "c");
    core.forget().tick(5);
    expect(core.sent("InstallSnapshot", "c")).toEqual([]);
    core.tick(60);

    expect(first).toEqual([install(1, [6, 1], first[0]?.round)]);
    expect(core.sent("InstallSnapshot", "c").length).toBe(1);
    expect(core.sent("AppendEntries", "c")).toEqual([]);
  });

  test("7: sends what follows the checkpoint once the follower has it", () => {
    const core = compactedLeader(10, 6);
    core.input({ kind: "disconnected", peer: "c" }).input({ kind: "connected", peer: "c" });
    core.tick(60).forget();
    core.acknowledged("c", 6);

    expect(core.sent("AppendEntries", "c").flatMap(({ entries }) => entries.map(({ index }) => index))).toEqual([
      7, 8, 9, 10,
    ]);
  });
});

describe("a follower", () => {
  test("7: asks for the checkpoint that it lacks, and keeps following meanwhile", () => {
    const core = new Core({ self: "b", voters: "abc", term: 1 }).receive("a", install(1, [100, 1]));
    core.persisted();

    expect(fetches(core)).toMatchObject([{ from: "a", checkpoint: id(100, 1) }]);
    expect(core.state.role).toMatchObject({ kind: "follower", leader: "a" });
    expect(matchesOf(core.sent("AppendEntriesReply"))).toEqual([0]);
  });

  test("7: what is installed replaces a log that does not have its last entry (S2)", () => {
    const core = new Core({ self: "b", voters: "abc", term: 3, log: [1, 1, 2, 2, 2] });
    core.receive("a", install(3, [4, 3]));
    core.input(installed(4, 3)).persisted();

    expect(core.state.log).toMatchObject({ lastIndex: 4, lastTime: 0, start: id(4, 3) });
    expect(core.state.commitIndex).toBe(4);
    expect(matchesOf(core.sent("AppendEntriesReply")).at(-1)).toBe(4);
    core.receive("a", append(3, [4, 3], { entries: [3, 3] })).persisted();
    expect(matchesOf(core.sent("AppendEntriesReply")).at(-1)).toBe(6);
  });

  test("7: what follows the last entry of an installed checkpoint stays", () => {
    const core = new Core({ self: "b", voters: "abc", term: 3, log: [1, 1, 3, 3, 3] });
    core
      .receive("a", install(3, [4, 3]))
      .input(installed(4, 3))
      .persisted();

    expect(core.terms).toEqual([1, 1, 3, 3, 3]);
    expect(core.state.commitIndex).toBe(4);
  });

  test("R16, 7: a checkpoint that comes late changes nothing (S1)", () => {
    const core = new Core({ self: "b", voters: "abc", term: 1 });
    core.receive("a", append(1, [0, 0], { entries: [1, 1, 1], commit: 3 })).persisted();
    core
      .receive("a", install(1, [2, 1]))
      .input(installed(2, 1))
      .persisted();

    expect(core.terms).toEqual([1, 1, 1]);
    expect(core.state.commitIndex).toBe(3);
    expect(fetches(core)).toEqual([]);
  });

  test("7: two checkpoints in a row: the newer one stands, in either order (S4)", () => {
    for (const order of [
      [100, 200],
      [200, 100],
    ]) {
      const core = new Core({ self: "b", voters: "abc", term: 1 }).receive("a", install(1, [200, 1]));
      for (const index of order) core.input(installed(index, 1)).persisted();

      expect(core.state.log.start).toEqual(id(200, 1));
    }
  });

  test("7: refuses one of an older term", () => {
    const core = new Core({ self: "b", voters: "abc", term: 5 }).receive("a", install(4, [100, 4])).persisted();

    expect(core.sent("AppendEntriesReply")).toMatchObject([{ term: 5, outcome: { kind: "outdated" } }]);
    expect(fetches(core)).toEqual([]);
  });

  test("5.3: an AppendEntries that reaches below what was given back is taken from there on", () => {
    const core = new Core({ self: "b", voters: "abc", term: 1 });
    core.receive("a", append(1, [0, 0], { entries: [1, 1, 1, 1], commit: 4 })).persisted();
    core.input({ kind: "checkpointed", checkpoint: id(3, 1) });
    core.receive("a", append(1, [1, 1], { entries: [1, 1, 1, 1], commit: 5 })).persisted();

    expect(core.state.log).toMatchObject({ lastIndex: 5, start: id(3, 1) });
    expect(matchesOf(core.sent("AppendEntriesReply")).at(-1)).toBe(5);
  });
});
