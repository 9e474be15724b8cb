/**
 * A violated rule stops the replica, and says which rule. States are damaged by hand here, and only here: the point is that a
 * bug which we do not know yet cannot go on silently.
 */
import { describe, expect, test } from "vitest";
import { noEntry } from "../../../src/model/entry.js";
import { counterMax } from "../../../src/model/ids.js";
import { createRaftState, type LeaderRole } from "../../../src/consensus/raft/state.js";
import { step } from "../../../src/consensus/raft/step.js";
import { append, Core, entriesOf, i, id, proposal, t } from "../../../test-support/raft-core.js";
import { testSettings } from "../../../test-support/raft-settings.js";

const leading = (): Core => new Core({ voters: "abc" }).elect("b").persisted().acknowledged("b", 1);
const roleOf = (core: Core): LeaderRole => {
  if (core.state.role.kind !== "leader") throw new Error("it leads");
  return core.state.role;
};

/** Each damages one thing, and the next tick must notice. */
const damages: Readonly<Record<string, (core: Core) => void>> = {
  R1: (core) => (core.state.commitIndex = i(99)),
  R2: (core) => (core.state.writes.durableIndex = i(99)),
  R3: (core) => (core.state.term = t(0)),
  R4: (core) => (core.state.term = t(2)),
  R6: (core) => (core.state.votedFor = "b"),
  R7: (core) => {
    const follower = roleOf(core).followers.get("b");
    if (follower?.progress.mode === "replicate") follower.progress.match = i(7);
  },
  R11: (core) => core.state.writes.pending.push({ id: 77, askedAt: 0, upTo: i(0) }),
  R18: (core) => core.state.configurations.push({ ...id(1, 7), membership: { members: [] } }),
  R14: (core) => Object.assign(core.state, { trust: "damaged" }),
};

describe("between any two steps", () => {
  for (const [rule, damage] of Object.entries(damages)) {
    test(`${rule} is checked`, () => {
      const core = leading();
      core.tick(1);

      damage(core);

      expect(() => core.tick(1)).toThrow(`${rule} `);
    });
  }

  test("R12 is kept: the service side is told of a term in the step that enters it", () => {
    const core = leading().receive("b", append(9, [1, 1], {}));

    expect(core.effects.at(-1)).toMatchObject({ kind: "role", role: { term: 9 } });
  });
});

describe("where the change happens", () => {
  test("R0 a replica never hears from itself", () => {
    expect(() => leading().receive("a", append(1, [0, 0], {}))).toThrow("R0 ");
  });

  test("R5 no message takes a term back", () => {
    const core = leading();
    for (const term of [3, 2, 1, 5, 4]) {
      const before = core.state.term;
      core.receive("c", append(term, [1, 1], {}));
      expect(core.state.term).toBeGreaterThanOrEqual(before);
    }
  });

  test("R8 what is committed is not replaced, R9 a term has one leader", () => {
    const core = new Core({ self: "b", voters: "abc", term: 1 }).receive(
      "a",
      append(1, [0, 0], { entries: [1], commit: 1 }),
    );

    expect(() => core.receive("c", append(2, [0, 0], { entries: [2] }))).toThrow("R8 ");
    const other = new Core({ self: "b", voters: "abc", term: 1 }).receive("a", append(1, [0, 0], {}));
    expect(() => other.receive("c", append(1, [0, 0], {}))).toThrow("R9 ");
  });

  test("R10 a leader whose entries go back in time is not followed", () => {
    const [first, second] = entriesOf([1, 1]);
    if (first === undefined || second === undefined) throw new Error("two entries");
    const core = new Core({ self: "b", voters: "abc", term: 1 });
    core.receive("a", { ...append(1, [0, 0], {}), entries: [{ ...first, time: 9 }] });

    expect(() => core.receive("a", { ...append(1, [1, 1], {}), entries: [{ ...second, time: 8 }] })).toThrow("R10 ");
  });

  test("R13 at the largest index a leader refuses to append, with the limit (F8)", () => {
    const last = i(counterMax - 2);
    const state = createRaftState(
      {
        ...{
          self: "a",
          incarnation: 1,
          seed: 1,
          trust: "whole",
          settings: testSettings,
          hardState: { term: t(1), votedFor: undefined },
        },
        membership: { members: [{ id: "a", role: "voter", incarnation: 1, peer: "", client: "" }] },
        log: {
          start: noEntry,
          lastIndex: last,
          terms: [{ firstIndex: i(1), term: t(1) }],
          tail: [{ index: last, term: t(1), kind: "batch", time: 0, payload: new Uint8Array(0) }],
          configurations: [],
        },
      },
      0,
    );
    step(state, { kind: "tick" }, 0);
    step(state, { kind: "persisted", id: 1 }, 0);
    expect(state.role.kind).toBe("leader");
    expect(state.log.lastIndex).toBe(counterMax - 1);

    expect(() => step(state, { kind: "propose", proposals: [proposal("x")] }, 0)).toThrow(
      "R13 cannot append: the log has reached the largest index",
    );
  });

  test("R15 a leader's first commitment is of its own term", () => {
    const core = new Core({ voters: "abc" }).elect("b");
    Object.assign(core.state.role, { noopIndex: i(9) });
    core.acknowledged("b", 1);

    expect(() => core.persisted()).toThrow("R15 ");
  });
});
