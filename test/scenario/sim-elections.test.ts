/** Hazards of elections and terms, told of whole clusters: votes and who may count them, E1 to E6, E20. */
import { describe, expect, test } from "vitest";
import type { ReplicaId } from "../../src/model/ids.js";
import type { ScenarioOptions } from "../../src/sim/scenario.js";
import type { standardMachine } from "../../src/sim/standard-machine.js";
import type { Story } from "../../test-support/sim-stories.js";
import {
  add,
  groupLedBy,
  hasRole,
  lateClock,
  refusalsOf,
  rightClock,
  seeds,
  slow,
  termOf,
  votesFor,
} from "../../test-support/leader-stories.js";

type Options = ScenarioOptions<typeof standardMachine>;

interface Standing {
  readonly group: Story;
  readonly term: number;
  /** From now on this one is heard by that one. */
  readonly release: (from: ReplicaId, to: ReplicaId) => void;
}

/**
 * Those named stand in one term and do not hear each other yet; the numbers say how long their disks take for their own votes, before
 * which they ask nobody. All others have been told that "a", the leader before, has ended; they answer, and do not stand.
 */
function candidates(diskMs: Readonly<Record<ReplicaId, number>>, options: Options): Standing {
  const group = groupLedBy("a", options);
  const standing = Object.keys(diskMs);
  const releases = new Map<string, () => void>();
  for (const id of group.others("a", ...standing)) group.clock(id, lateClock);
  for (const [id, ms] of Object.entries(diskMs)) group.disk(id).speed = slow(ms);
  for (const from of standing)
    for (const to of standing) if (from !== to) releases.set(`${from} ${to}`, group.hold(from, to));
  // The clocks are late only from their next tick on, and "a" is let in only by who knows that its former process has ended.
  group.pass(12).kill("a").pass(1).start("a").clock("a", lateClock);
  group.until("all of them to stand", () => standing.every((id) => hasRole(group, id, "candidate")), 500);
  const [term = 0, ...others] = standing.map((id) => termOf(group, id));
  for (const other of others) expect(other).toBe(term);
  return { group, term, release: (from, to) => releases.get(`${from} ${to}`)?.() };
}

/** "b" and "c" stand, and the vote of "a" decides. */
const rivals = (seed: number): Standing => {
  return candidates({ b: 150, c: 150 }, { seed, limits: { raft: { heartbeatMs: 50, electionTimeoutMsMin: 300 } } });
};

describe("one vote a term", () => {
  test("E1: a vote that the power took before it was durable has not been counted, and goes to who asks next", () => {
    const counts = { kept: 0, givenAnew: 0 };
    for (const seed of seeds(10)) {
      const { group, term } = rivals(seed);
      group.disk("a").stick();
      const first = group.until("the vote", () => termOf(group, "a") === term && group.raft("a").votedFor);
      expect(votesFor(group, first)).toEqual([first]);

      group.powerCut("a").cut("a", first).disk("a").unstick();
      group.start("a");
      const isKept = termOf(group, "a") === term;
      const leader = group.untilLeader();

      if (isKept) {
        expect(termOf(group, leader)).toBeGreaterThan(term);
        counts.kept += 1;
      } else if (termOf(group, leader) === term) {
        expect(leader).not.toBe(first);
        counts.givenAnew += 1;
      }
      group.heal().untilQuiet().conclude();
    }
    expect(Math.min(counts.kept, counts.givenAnew)).toBeGreaterThan(0);
  });

  // A follower whose log does not match as well is in raft-elections.test.ts: "… still has voted for itself", "a vote survives a pre-vote …".
  test("E2: a candidate that steps down in its own term still has voted for itself", () => {
    for (const seed of seeds(4)) {
      const { group, term, release } = candidates({ b: 250, c: 150, d: 250 }, { replicas: 5, seed });
      group.cut("c", "d");

      group.until("c to lead", () => hasRole(group, "c", "leader"));
      release("c", "b");
      group.until("b to follow", () => hasRole(group, "b", "follower"));
      release("d", "b");
      release("b", "d");
      group.until("the answer", () => refusalsOf(group, "d").includes("b"));

      expect(votesFor(group, "d")).toEqual(["d"]);
      expect(group.raft("b")).toMatchObject({ term, votedFor: "b", role: { leader: "c" } });
      group.heal().untilQuiet();
      expect(group.leader).toBe("c");
      group.conclude();
    }
  });

  test("E3: a replica that asked for pre-votes meanwhile still has given its vote", () => {
    for (const seed of seeds(4)) {
      const { group, term } = rivals(seed);
      const releaseRequest = group.clock("c", lateClock).hold("c", "a");
      group.until("b to lead", () => hasRole(group, "b", "leader"));

      const releaseAppends = group.clock("b", lateClock).hold("b", "a");
      group.clock("a", rightClock);
      group.until("a to ask", () => hasRole(group, "a", "preCandidate"), 2_500);
      releaseAppends();
      group.until("a to follow again", () => hasRole(group, "a", "follower"));
      releaseRequest();
      group.until("the answer", () => refusalsOf(group, "c").includes("a"));

      expect(group.raft("a")).toMatchObject({ term, votedFor: "b" });
      expect(termOf(group, "b")).toBe(term);
      expect(hasRole(group, "b", "leader")).toBe(true);
      group.clock("b", rightClock).clock("c", rightClock).heal().untilQuiet().conclude();
    }
  });

  test("E4: a candidate that another of its term asks refuses, since it has voted for itself", () => {
    for (const seed of seeds(4)) {
      const { group, term, release } = candidates({ b: 250, c: 150 }, { replicas: 5, seed });
      group.hold("c", "a");
      group.hold("c", "d");
      group.hold("b", "e");

      release("c", "b");
      release("b", "c");
      group.until("the answer", () => refusalsOf(group, "c").includes("b"));
      group.until("e to vote", () => votesFor(group, "c").includes("e"));
      const leader = group.untilLeader();

      expect({ leader, term: termOf(group, leader) }).toEqual({ leader: "b", term });
      group.heal().untilQuiet().conclude();
    }
  });

  test("E5: what an old leader sent does not take back a term and a vote that were given since", () => {
    for (const seed of seeds(4)) {
      const raft = { heartbeatMs: 20, electionTimeoutMsMax: 10_000 };
      const group = groupLedBy("a", { replicas: 5, seed, limits: { raft }, clients: [["a"]] });
      const last = group.raft("e").log.lastIndex;
      for (const id of ["b", "c"]) group.disk(id).speed = slow(200);
      group.clock("d", lateClock).pass(12);
      const releaseOld = group.hold("a", "e");
      const operation = group.ask(add(1));
      group.pass(1).cut("b", "c");
      for (const id of ["b", "c", "d"]) group.cut("a", id);

      // "e" hears its leader no more: only then it would vote for another. The others are told that the link broke.
      group.pass(1_000).clock("e", lateClock);
      for (const id of ["b", "c", "d"]) group.reset("a", id);
      group.until("b and c to stand", () => hasRole(group, "b", "candidate") && hasRole(group, "c", "candidate"));
      const term = termOf(group, "b");
      expect(termOf(group, "c")).toBe(term);
      const releaseSecond = group.hold("c", "e");
      for (const id of ["b", "c"]) group.cut(id, "d");
      group.until("e to vote", () => votesFor(group, "b").includes("e"));

      releaseOld();
      group.until("the old leader to learn the term", () => termOf(group, "a") === term);
      expect(group.raft("e")).toMatchObject({ term, votedFor: "b", log: { lastIndex: last } });
      releaseSecond();
      group.until("the answer", () => refusalsOf(group, "c").includes("e"));

      for (const id of group.replicas) group.clock(id, rightClock);
      group.heal().untilQuiet();
      expect(operation.end?.kind).toBe("answered");
      group.conclude();
    }
  });

  test("E6: while the vote for one candidate is being written, another of the same term is refused", () => {
    for (const seed of seeds(4)) {
      const { group, term } = rivals(seed);
      group.disk("a").stick();
      const first = group.until("the vote", () => termOf(group, "a") === term && group.raft("a").votedFor);
      const second = first === "b" ? "c" : "b";

      group.until("the refusal", () => refusalsOf(group, second).includes("a"));
      expect(votesFor(group, first)).toEqual([first]);
      group.disk("a").unstick();
      const leader = group.untilLeader();

      expect({ leader, term: termOf(group, leader) }).toEqual({ leader: first, term });
      group.heal().untilQuiet().conclude();
    }
  });

  // Members do not change yet: the votes of a replica that is no member are in raft-elections.test.ts.
  test("E20: a vote that arrives in a later term of its candidate is not counted in it", () => {
    for (const seed of seeds(4)) {
      const { group, term } = candidates({ b: 100 }, { seed });
      group.disk("a").stick();
      const release = group.hold("c", "b");
      group.until("the vote", () => group.raft("c").votedFor === "b" && termOf(group, "c") === term);

      group.until("b to stand again", () => hasRole(group, "b", "candidate") && termOf(group, "b") > term, 2_500);
      group.disk("c").stick();
      group.until("b to vote for itself", () => votesFor(group, "b").length > 0);
      release();
      group.pass(20);

      expect(termOf(group, "b")).toBe(term + 1);
      expect(votesFor(group, "b")).toEqual(["b"]);
      for (const id of ["a", "c"]) group.disk(id).unstick();
      group.untilQuiet().conclude();
    }
  });
});
