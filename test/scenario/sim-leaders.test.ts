/** Hazards of elections and terms, told of whole clusters: who leads and who makes way, E7 to E11, E16 to E18. */
import { describe, expect, test } from "vitest";
import { calmNetwork } from "../../src/sim/plan.js";
import { scenario } from "../../src/sim/scenario.js";
import { quick } from "../../test-support/sim-stories.js";
import { add, groupLedBy, hasRole, keepTo, seeds, sum, termOf } from "../../test-support/leader-stories.js";

/** Everybody that has just lost the leader waits for one and the same time, as near as a tick. */
const together = { electionTimeoutMsMin: 1_000, electionTimeoutMsMax: 1_010 } as const;

describe("pre-votes", () => {
  test("E7: replicas of different terms agree on a leader within five time-outs", () => {
    for (const seed of seeds(5)) {
      const group = scenario({ seed, limits: { raft: quick } });
      group.untilLeader();
      const lost = group.anyOther(group.untilLeader());
      const term = termOf(group, lost);
      group.cutOff([lost]);
      for (let time = 0; time < 4; time += 1) group.restart(group.untilLeader()).pass(50);
      const leader = group.untilLeader();
      group.untilEnded([group.ask(add(1))]);
      expect(termOf(group, lost)).toBe(term);
      expect(termOf(group, leader)).toBeGreaterThan(term + 1);

      group.heal().kill(leader);
      const next = group.untilLeader({ not: leader, within: 5 * quick.electionTimeoutMsMax });

      expect(next).not.toBe(lost);
      group.start(leader).untilQuiet().conclude();
    }
  });

  test("E8: two who ask for pre-votes at once do not refuse each other in the name of the leader that both have lost", () => {
    for (const raft of [together, {}]) {
      for (const seed of seeds(8)) {
        const group = scenario({ seed, limits: { raft } });
        const leader = group.untilLeader();
        group.untilQuiet();

        group.cutOff([leader]);
        const next = group.untilLeader({ not: leader, within: 10_000 });

        expect(termOf(group, next)).toBeGreaterThan(1);
        group.heal().untilQuiet().conclude();
      }
    }
  });

  test("E11: a replica that was cut off for a hundred time-outs comes back in its old term, and the leader stays", () => {
    const group = scenario({ seed: 11, limits: { raft: quick } });
    const leader = group.untilLeader();
    const term = termOf(group, leader);
    const lost = group.anyOther(leader);

    group.cutOff([lost]).pass(100 * quick.electionTimeoutMsMax);
    expect(termOf(group, lost)).toBe(term);
    expect(hasRole(group, lost, "follower")).toBe(false);
    group.heal();
    group.call(add(1));
    group.untilQuiet();

    expect({ leader: group.leader, term: termOf(group, leader) }).toEqual({ leader, term });
    group.conclude();
  });
});

describe("leaders that are half cut off", () => {
  test("E9: a leader cut off from one follower alone goes on leading, and writes go on", () => {
    for (const way of ["both", "to it", "from it"] as const) {
      const group = scenario({ seed: 9 });
      const leader = group.untilLeader();
      const term = termOf(group, leader);
      const lost = group.anyOther(leader);

      if (way !== "from it") group.cutOneWay(leader, lost);
      if (way !== "to it") group.cutOneWay(lost, leader);
      for (let second = 1; second <= (way === "both" ? 60 : 15); second += 1) {
        expect(group.call(add(1))).toBe(second);
        group.pass(1_000);
      }

      expect(group.leader).toBe(leader);
      expect(termOf(group, leader)).toBe(term);
      group.heal().untilQuiet().conclude();
    }
  });

  test("E10: a leader that hears nobody steps down by itself, and another serves although its own words arrive", () => {
    for (const seed of seeds(4)) {
      const group = scenario({ seed, limits: { transport: { peerSilenceMsMax: 60_000 } } });
      const deaf = group.untilLeader();
      group.call(add(1));

      for (const other of group.others(deaf)) group.cutOneWay(other, deaf);
      group.until("it to step down", () => !hasRole(group, deaf, "leader"), 2_100);
      const next = group.untilLeader({ not: deaf, within: 8_000 });
      group.cut("c1", deaf);
      expect(group.call(add(1))).toBe(2);

      expect(group.leader).toBe(next);
      group.heal().untilQuiet().conclude();
    }
  });

  test("E10: a leader that nobody hears is replaced, and steps down although it hears the others", () => {
    for (const seed of seeds(4)) {
      const group = scenario({ seed, limits: { transport: { peerSilenceMsMax: 60_000 } } });
      const mute = group.untilLeader();
      group.call(add(1));

      for (const other of group.others(mute)) group.cutOneWay(mute, other);
      const next = group.untilLeader({ not: mute, within: 10_000 });
      expect(hasRole(group, mute, "leader")).toBe(false);
      group.cut("c1", mute);
      expect(group.call(add(1))).toBe(2);

      expect(group.leader).toBe(next);
      group.heal().untilQuiet().conclude();
    }
  });
});

describe("leaders that go on talking", () => {
  // A stream gives no byte out twice, so what is repeated here is packets. No message is given to the core a second time, so there is no
  // story of the core alone for this.
  test("E16: heartbeats that arrive late and twice, after their leader has ended, put off the election no longer than their way took", () => {
    for (const how of ["kill", "powerCut"] as const) {
      for (const seed of seeds(4)) {
        const network = { ...calmNetwork, duplicateChance: 1, reorderChance: 0.5 };
        const group = scenario({ seed, plan: { network } });
        const leader = group.untilLeader();
        group.call(add(1));

        const releases = group.others(leader).map((other) => group.hold(leader, other));
        group.pass(350)[how](leader).pass(500);
        expect(group.leader).toBeUndefined();
        for (const release of releases) release();
        group.untilLeader({ not: leader, within: how === "kill" ? 200 : 4_500 });

        expect(group.call(add(1))).toBe(2);
        expect(group.world.network.statistics.duplicatesDropped).toBeGreaterThan(20);
        group.start(leader).untilQuiet().conclude();
      }
    }
  });

  test("E17: a leader whose disk hangs hands over to one whose disk works, although its heartbeats arrive", () => {
    for (const seed of seeds(4)) {
      const group = scenario({ seed });
      const hung = group.untilLeader();
      expect(group.call(add(1))).toBe(1);

      group.disk(hung).stick();
      expect(group.call(add(1))).toBe(2);
      expect(group.leader).toBe(hung);
      group.until("it to step down", () => !hasRole(group, hung, "leader"), 3 * 2_000 + 100);
      const next = group.untilLeader({ not: hung, within: 6_000 });
      expect(group.call(add(1))).toBe(3);
      group.pass(10_000);

      expect(group.leader).toBe(next);
      group.disk(hung).unstick();
      group.untilQuiet().conclude();
    }
  });

  test("E18: a leader whose writes hang still keeps time: cut off, it steps down and answers no query", () => {
    for (const seed of seeds(2)) {
      const stuck = "a";
      const group = groupLedBy(stuck, { seed, clients: ["all", [stuck]] });
      keepTo(group, 2, stuck);
      expect(group.call(add(1))).toBe(1);
      expect(group.call(sum, { from: 2 })).toBe(1);

      group.disk(stuck).stick();
      group.cutOff([stuck, "c2"]);
      const write = group.ask(add(10), { from: 2, timeoutMs: 90_000 });
      const early = group.ask(sum, { from: 2 });
      group.until("it to step down", () => !hasRole(group, stuck, "leader"), 2_100);
      group.untilLeader({ not: stuck });
      expect(group.call(add(1))).toBe(2);
      const late = group.ask(sum, { from: 2 });
      group.pass(60_000);

      expect(group.untilEnded([early, late])).toEqual(["refused NO_LEADER", "refused NO_LEADER"]);
      group.disk(stuck).unstick();
      group.heal();
      expect(group.untilEnded([write])).toEqual([12]);
      group.untilQuiet().conclude();
    }
  });
});
