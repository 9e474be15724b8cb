/** A leader that lives and cannot do its work gives leadership up (hazard of hashicorp/raft#503: it would go on sending heartbeats). */
import { describe, expect, test } from "vitest";

import { Core, t } from "../../test-support/raft-core.js";

function leader(voters = "abc"): Core {
  const core = new Core({ voters }).elect(...[...voters].slice(1)).persisted();
  return heard(core, 1);
}

/** Both others have everything up to `match`. */
function heard(core: Core, match: number): Core {
  for (const id of core.state.peers) core.acknowledged(id, match);
  return core;
}

/** Time passes, and the others answer. */
function lead(core: Core, ms: number, match: number): Core {
  for (let passed = 0; passed < ms && core.state.role.kind === "leader"; passed += 5) heard(core.tick(5), match);
  return core;
}

const resignations = (core: Core) => core.history.filter(({ kind }) => kind === "resigned");

describe("a leader resigns", () => {
  test("when a write does not end, although the others' copies commit: it offers leadership, and is replaced", () => {
    const core = lead(leader().propose("x"), 905, 2);
    expect(core.state.commitIndex).toBe(2);
    expect(core.sent("TimeoutNow")).toHaveLength(1);
    expect(core.state.view.settledAt).toBeUndefined();

    core.receive("b", { kind: "RequestVote", term: t(2), last: core.state.log.last, transfer: true });

    expect(core.state.role.kind).toBe("follower");
    expect(resignations(core)).toEqual([{ kind: "resigned", reason: "write", term: 1 }]);
  });

  test("and follows whoever is elected if leadership is not taken, and does not stand until the write has ended", () => {
    const core = lead(leader().propose("x"), 905 + 310, 2);
    expect(core.state.role.kind).toBe("follower");
    expect(resignations(core)).toEqual([{ kind: "resigned", reason: "write", term: 1 }]);

    core.pass(2_000);
    expect(core.state.role.kind).toBe("follower");
    core.persisted().pass(400);
    expect(core.state.role.kind).toBe("preCandidate");
  });

  test("at once if nobody is there to take over", () => {
    const core = leader().propose("x");
    core.acknowledged("b", 2).acknowledged("c", 2);
    core.input({ kind: "execution", isStalled: true });
    core.input({ kind: "disconnected", peer: "b" }).input({ kind: "disconnected", peer: "c" });

    expect(core.tick(5).state.role.kind).toBe("follower");
    expect(resignations(core)).toEqual([{ kind: "resigned", reason: "execution", term: 1 }]);
  });

  test("when execution stands still, and stands again when it goes on", () => {
    const core = leader().input({ kind: "execution", isStalled: true });
    lead(core, 400, 1);
    expect(core.sent("TimeoutNow")).toHaveLength(1);
    expect(core.state.role.kind).toBe("follower");

    core.pass(400);
    expect(core.state.role.kind).toBe("follower");
    core.input({ kind: "execution", isStalled: false }).pass(400);
    expect(core.state.role.kind).toBe("preCandidate");
  });

  test("when it was not run for a while, and rests before it stands", () => {
    const core = new Core({ voters: "abc", settings: { turnStallMsMax: 100 } }).elect("b", "c").persisted();
    heard(core, 1).tick(99);
    expect(core.sent("TimeoutNow")).toEqual([]);

    heard(core, 1).tick(101);
    expect(core.sent("TimeoutNow")).toHaveLength(1);
    lead(core, 400, 1);
    expect(resignations(core)).toEqual([{ kind: "resigned", reason: "turn", term: 1 }]);
  });

  test("not while nothing stalls, and not if it is the only voter", () => {
    const core = lead(leader(), 3_000, 1);
    const alone = new Core({ voters: "a" }).pass(400).persisted().propose("x").pass(5_000);

    expect([core.state.role.kind, alone.state.role.kind]).toEqual(["leader", "leader"]);
    expect([...core.sent("TimeoutNow"), ...resignations(core), ...resignations(alone)]).toEqual([]);
  });

  test("not if what stalled goes on before leadership is taken", () => {
    const core = leader().input({ kind: "execution", isStalled: true });
    lead(core, 20, 1);
    core.input({ kind: "execution", isStalled: false });
    lead(core, 1_000, 1);

    expect(core.state.role.kind).toBe("leader");
    expect(core.state.view.settledAt).toBe(1);
    expect(resignations(core)).toEqual([]);
  });
});

test("a replica whose execution stands still refuses leadership that is offered to it", () => {
  const core = new Core({ self: "b", voters: "abc", term: 1, log: [1] }).input({ kind: "execution", isStalled: true });
  core.receive("a", {
    ...{ kind: "AppendEntries", term: t(1), round: 1, commit: core.state.commitIndex },
    ...{ previous: core.state.log.last, entries: [] },
  });

  core.receive("a", { kind: "TimeoutNow", term: t(1) });

  expect(core.state.role.kind).toBe("follower");
});

test("a replica whose execution stands still leaves three time-outs to others, then it stands: perhaps all stand still", () => {
  const core = new Core({ voters: "abc" }).input({ kind: "execution", isStalled: true });
  while (core.state.timeoutsPassed < 3) {
    expect(core.state.role.kind).toBe("follower");
    core.pass(5);
  }
  expect(core.pass(400).state.role.kind).toBe("preCandidate");
});

test("a replica in quarantine never stands", () => {
  const core = new Core({ voters: "abc" }).input({ kind: "execution", isStalled: true, isQuarantined: true });

  expect(core.pass(3_000).state.role.kind).toBe("follower");
  expect(core.state.timeoutsPassed).toBeGreaterThan(3);
});
