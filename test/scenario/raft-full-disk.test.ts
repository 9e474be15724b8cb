/** Hazard D12 in the core: what a replica without space takes, and what a leader makes of it. */
import { describe, expect, test } from "vitest";

import type { LogSpace } from "../../src/model/log.js";
import { accepted, append, Core, entriesOf, matchesOf, t } from "../../test-support/raft-core.js";

const noop = (index: number, term: number) => ({ ...entriesOf([term], index - 1)[0], kind: "noop" }) as const;

function withSpace(core: Core, space: LogSpace): Core {
  return core.input({ kind: "space", space });
}

describe("D12: a follower", () => {
  const follower = () => new Core({ voters: "abc", term: 1, log: [1] }).receive("b", append(1, [1, 1], { round: 1 }));

  test("that is short of space takes all it is sent, and says so", () => {
    const core = withSpace(follower(), "short")
      .receive("b", append(1, [1, 1], { entries: [1, 1] }))
      .persisted();

    expect(core.state.log.lastIndex).toBe(3);
    expect(core.sent("AppendEntriesReply").at(-1)).toMatchObject({ space: "short", outcome: { match: 3 } });
  });

  test("without space takes nothing for clients, acknowledges only what it has, and takes it when there is space", () => {
    const core = withSpace(follower(), "none").forget();
    core.receive("b", append(1, [1, 1], { entries: [1, 1], commit: 2, round: 2 })).persisted();

    expect(core.state.log.lastIndex).toBe(1);
    expect(core.state.commitIndex).toBeLessThanOrEqual(1);
    expect(core.sent("AppendEntriesReply")).toMatchObject([{ space: "none", outcome: { kind: "accepted", match: 1 } }]);
    withSpace(core, "ample")
      .receive("b", append(1, [1, 1], { entries: [1, 1], commit: 2, round: 3 }))
      .persisted();
    expect(core.state.log.lastIndex).toBe(3);
    expect(matchesOf(core.sent("AppendEntriesReply"))).toEqual([1, 3]);
  });

  test("without space votes, and takes the entry that opens a term, with a conflict that it replaces", () => {
    const core = withSpace(new Core({ voters: "abc", term: 1, log: [1, 1] }), "none").pass(400);
    core.receive("b", { kind: "RequestVote", term: t(3), last: { index: core.state.log.lastIndex, term: t(2) } });
    expect(core.persisted().sent("RequestVoteReply").at(-1)).toMatchObject({ granted: true });
    const message = { ...append(3, [1, 1], {}), entries: [noop(2, 3)] };

    core.receive("b", message as ReturnType<typeof append>).persisted();

    expect(core.terms).toEqual([1, 3]);
    expect(matchesOf(core.sent("AppendEntriesReply")).at(-1)).toBe(2);
  });
});

describe("D12: a leader", () => {
  const leader = (voters = "abc") => {
    const core = new Core({ voters }).elect(...[...voters].slice(1)).persisted();
    for (const id of [...voters].slice(1)) core.acknowledged(id, 1);
    return core;
  };
  const told = (core: Core, from: string, match: number, space: LogSpace) =>
    core.receive(from, { ...accepted(core.state.term, match), space });

  test("sends what is for clients to nobody without space, and what else there is, and the rest when there is space", () => {
    const core = told(leader(), "b", 1, "none").forget();
    core.propose("x").persisted();
    expect(core.sent("AppendEntries", "b").flatMap(({ entries }) => entries)).toEqual([]);
    expect(core.sent("AppendEntries", "c").flatMap(({ entries }) => entries)).toHaveLength(1);

    // Only heartbeats, and their answers, however long it lasts.
    core.acknowledged("c", 2).forget();
    for (let round = 0; round < 20; round += 1) told(core.tick(20), "b", 1, "none").acknowledged("c", 2);
    expect(core.sent("AppendEntries", "b").flatMap(({ entries }) => entries)).toEqual([]);

    told(core.forget(), "b", 1, "ample");
    expect(core.sent("AppendEntries", "b").flatMap(({ entries }) => entries)).toHaveLength(1);
  });

  test("refuses while no majority has space, and not while one has", () => {
    const core = leader();
    told(core, "b", 1, "short");
    expect(core.state.view).toMatchObject({ settledAt: 1 });
    expect(core.state.view.isFull).toBeUndefined();
    told(core, "c", 1, "none");
    expect(core.state.view).toMatchObject({ settledAt: 1, isFull: true });

    told(core, "b", 1, "ample");
    expect(core.state.view.isFull).toBeUndefined();
  });

  test("that is short of space holds what is for clients until it has handed over to one with space", () => {
    const core = withSpace(leader(), "short");
    expect(core.state.view.settledAt).toBeUndefined();
    for (let passed = 0; passed < 60; passed += 5) {
      told(core.tick(5), "b", 1, "short").acknowledged("c", 1);
    }

    expect(core.sent("TimeoutNow", "b")).toEqual([]);
    expect(core.sent("TimeoutNow", "c")).toHaveLength(1);
  });

  test("that is short of space refuses when nobody takes over, and takes again when it has space", () => {
    const core = withSpace(leader(), "short");
    for (let passed = 0; passed < 600; passed += 5) core.tick(5).acknowledged("b", 1).acknowledged("c", 1);

    expect(core.sent("TimeoutNow").length).toBeGreaterThan(0);
    expect(core.state.role.kind).toBe("leader");
    expect(core.state.view).toMatchObject({ role: "leader", isFull: true });
    for (let passed = 0; passed < 400; passed += 5) {
      withSpace(core, "ample").tick(5).acknowledged("b", 1).acknowledged("c", 1);
    }
    expect(core.state.view).toMatchObject({ settledAt: 1 });
    expect(core.state.view.isFull).toBeUndefined();
  });
});
