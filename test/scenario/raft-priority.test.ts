/** Who should lead: priorities, in the core and in whole clusters. */
import { describe, expect, test } from "vitest";

import { accepted, append, Core, t } from "../../test-support/raft-core.js";
import { groupOf, quick, type Story } from "../../test-support/sim-stories.js";

describe("a leader of a lower priority", () => {
  const leader = () => new Core({ voters: "abc", settings: { priority: 2 } }).elect("b", "c").persisted();
  const told = (core: Core, from: string, priority: number, match = 1) =>
    core.receive(from, { ...accepted(core.state.term, match), priority });
  const pass = (core: Core, ms: number, look: () => void) => {
    for (let passed = 0; passed < ms; passed += 5) {
      core.tick(5);
      look();
    }
  };

  test("hands over to the highest that is up to date, once it has led for a while, and not before", () => {
    const core = leader();
    const both = () => told(told(core, "b", 3), "c", 5);
    pass(core, 990, both);
    expect(core.sent("TimeoutNow")).toEqual([]);

    pass(core, 20, both);

    expect(core.sent("TimeoutNow", "c")).toHaveLength(1);
    core.receive("c", { kind: "RequestVote", term: t(2), last: core.state.log.last, transfer: true });
    expect(core.history).toContainEqual({ kind: "resigned", reason: "priority", term: 1 });
  });

  test("goes on if leadership is not taken, takes proposals meanwhile, and does not offer it again for a while", () => {
    const core = leader();
    pass(core, 1_010, () => told(told(core, "b", 1), "c", 3));
    core.propose("held");
    pass(core, 310, () => told(told(core, "b", 1), "c", 3));
    expect(core.state.log.lastIndex).toBe(2);
    core.persisted();
    pass(core, 600, () => told(told(core, "b", 1, 2), "c", 3, 2));

    expect(core.state.role.kind).toBe("leader");
    expect(core.sent("TimeoutNow")).toHaveLength(1);
    expect(core.history.filter(({ kind }) => kind === "resigned")).toEqual([]);
  });

  test("keeps leadership from one that is equal, lower, unreachable, unable to lead, or without space", () => {
    const core = leader();
    pass(core, 3_000, () => told(told(core, "b", 2), "c", 0));
    expect(core.sent("TimeoutNow")).toEqual([]);

    pass(core, 1_000, () => told(core, "b", 1).receive("c", { ...accepted(t(1), 1), priority: 9, space: "short" }));
    expect(core.sent("TimeoutNow")).toEqual([]);
    told(core, "c", 9).input({ kind: "disconnected", peer: "c" });
    pass(core, 100, () => told(core, "b", 1));

    expect(core.sent("TimeoutNow")).toEqual([]);
    expect(core.state.role.kind).toBe("leader");
  });
});

test("a follower tells its priority with each answer, and 0 while it cannot lead", () => {
  const core = new Core({ self: "b", voters: "abc", term: 1, log: [1], settings: { priority: 7 } });
  core.receive("a", append(1, [1, 1], { round: 1 }));
  core.input({ kind: "execution", isStalled: true }).receive("a", append(1, [1, 1], { round: 2 }));

  expect(core.sent("AppendEntriesReply").map(({ priority }) => priority)).toEqual([7, 0]);
});

describe("in a cluster", () => {
  const group = (seed: number): Story => {
    const raft = { ...quick, priorityStableMs: 500 };
    return groupOf(0, { seed, limits: { raft }, plan: { priorities: [1, 5, 1] } });
  };
  const add = { command: "add", input: { key: "c", value: 1 } } as const;

  test("leadership goes to the highest priority that is there, back to it when it returns, and no command is lost or refused", () => {
    for (const seed of [1, 2, 3]) {
      const story = group(seed);
      story.until("b leads", () => story.leader === "b", 2_000);
      story.kill("b");
      // Elections do not wait for it.
      story.untilLeader({ not: "b", within: 1_000 });
      expect(story.call(add)).toBe(1);
      story.start("b");
      const asked = Array.from({ length: 50 }, () => {
        story.pass(20);
        return story.ask(add);
      });
      story.until("b leads again", () => story.leader === "b", 3_000);

      expect(story.untilEnded(asked)).toHaveLength(50);
      expect(story.call({ query: "count", input: { key: "c" } })).toBe(51);
      story.pass(3_000);
      expect(story.leader).toBe("b");
      story.untilQuiet().conclude();
    }
  });

  test("a replica of the highest priority whose disk hangs is not offered leadership", () => {
    const story = group(4);
    story.until("b leads", () => story.leader === "b", 2_000);
    story.disk("b").stick();
    story.ask(add);
    const elected = story.until("another leader", () => (story.leader === "b" ? undefined : story.leader), 10_000);
    const { term } = story.raft(elected);

    story.pass(5_000);

    expect(story.leader).toBe(elected);
    expect(story.raft(elected).term).toBe(term);
    story.disk("b").unstick();
    story.until("b leads again", () => story.leader === "b", 5_000);
    story.untilQuiet().conclude();
  });
});
