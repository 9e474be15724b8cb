/** Hazards of replication and commit, told of whole clusters: R1 to R9, R11 to R13. */
import { describe, expect, test } from "vitest";
import { calmNetwork } from "../../src/sim/plan.js";
import { entryOf } from "../../test-support/sim-stories.js";
import {
  add,
  durableOf,
  entryTerm,
  groupLedBy,
  hasRole,
  keepTo,
  lastOf,
  makeLead,
  matchOf,
  seeds,
  slow,
  star,
  sum,
  termOf,
  votedIn,
} from "../../test-support/leader-stories.js";

/** Messages of one entry each, each 5 ms under way, so that a story can act between two; no replica reports on a position in between. */
const stepwise = {
  plan: { network: { ...calmNetwork, delayMsMin: 5, delayMsMax: 5 } },
  limits: {
    raft: { appendBytesMax: 1 },
    admission: { batchCountMax: 1, pipelineMax: 16 },
    audit: { everyMs: 600_000 },
  },
} as const;

describe("commitment", () => {
  test("R1: an entry of an earlier term that three of five have is not committed, and the next leader may replace it", () => {
    for (const seed of seeds(4)) {
      const group = groupLedBy("a", { ...stepwise, replicas: 5, seed, clients: [["a"]] });
      const index = lastOf(group, "a") + 1;
      const firstTerm = termOf(group, "a");

      // One leader puts an entry on two of five,
      for (const id of ["c", "d", "e"]) group.cut("a", id);
      const operation = group.ask(add(1));
      group.until("b to have it", () => durableOf(group, "b") === index);
      group.kill("a");
      // another leads with the votes of the others, and has one entry more that nobody else gets,
      star(group, "e");
      for (const id of ["c", "d", "e"]) group.reset("a", id);
      group.until("the votes for e", () => ["c", "d"].every((id) => votedIn(group, id, firstTerm + 1) === "e"));
      for (const id of ["b", "c", "d"]) group.cutOneWay("e", id);
      group.until("e to lead", () => hasRole(group, "e", "leader"));
      group.kill("e");
      // and the first leads again, and gives its old entry to a third.
      star(group, "a");
      group.cut("a", "d").cut("a", "c1").start("a");
      group.until("a to lead", () => hasRole(group, "a", "leader"));
      group.until("c to have it", () => matchOf(group, "a", "c") === index);
      group.cutOneWay("a", "c").until("b to have it", () => (matchOf(group, "a", "b") ?? 0) >= index);

      expect(["a", "b", "c"].map((id) => entryTerm(group, id, index))).toEqual([firstTerm, firstTerm, firstTerm]);
      expect(group.raft("a").commitIndex).toBeLessThan(index);
      group.kill("a");
      star(group, "e");
      group.start("e").until("e to lead again", () => group.leader === "e");
      expect(entryTerm(group, "c", index)).toBe(firstTerm + 1);
      expect(group.heal().start("a").untilEnded([operation])).toEqual([1]);
      group.untilQuiet().conclude();
    }
  });

  test("R2: a replica that comes back with entries of its own commits only what the new leader's messages have shown", () => {
    for (const seed of seeds(4)) {
      const group = groupLedBy("a", { ...stepwise, seed, clients: ["all", ["a"]] });
      const last = lastOf(group, "a");
      group.cutOff(["a", "c2"]);
      const lost = [1, 2, 3].map((value) => group.ask(add(value), { from: 2 }));
      group.until("a to have them", () => durableOf(group, "a") === last + 3);
      const next = group.untilLeader({ not: "a" });
      for (let count = 0; count < 4; count += 1) group.call(add(100));

      group.heal();
      group.until("a to execute more", () => group.executed("a") > last);
      expect(entryTerm(group, "a", last + 1)).toBe(termOf(group, next));

      expect(group.untilEnded(lost)).toEqual([401, 403, 406]);
      group.untilQuiet().conclude();
    }
  });

  test("R9: a leader does not count its own copy before it is on disk", () => {
    for (const how of ["goes on", "loses power"] as const) {
      for (const seed of seeds(3)) {
        const group = groupLedBy("a", { seed });
        const last = lastOf(group, "a");
        group.kill("c").disk("a").stick();

        const operation = group.ask(add(1));
        group.until("b to have it", () => durableOf(group, "b") === last + 1);
        group.pass(1_000);
        expect(operation.end).toBeUndefined();
        expect([group.raft("a").commitIndex, group.executed("b")]).toEqual([last, last]);

        if (how === "loses power") {
          group
            .powerCut("a")
            .start("c")
            .until("b to lead", () => group.leader === "b");
          expect(group.untilEnded([operation])).toEqual([1]);
        }
        group.disk("a").unstick();
        group.start("a", "c");
        expect(group.untilEnded([operation])).toEqual([1]);
        group.untilQuiet().conclude();
      }
    }
  });
});

describe("logs that differ", () => {
  // One connection keeps the order, so what comes again comes over another one. An old append that overtakes a newer one is in
  // raft-replication.test.ts, "a late short append leaves later entries that matched".
  test("R3: what a follower has is not cut off when a shorter part of it comes again", () => {
    for (const seed of seeds(4)) {
      const group = groupLedBy("a", { ...stepwise, seed });
      const last = lastOf(group, "a");
      const release = group.cut("a", "b").hold("c", "a");
      const operations = [1, 2, 3, 4, 5, 6].map((value) => group.ask(add(value)));
      group.until("c to have them all", () => durableOf(group, "c") === last + 6);
      expect([matchOf(group, "a", "c"), group.raft("c").commitIndex]).toEqual([last, last]);

      group.reset("a", "c");
      release();
      group.until("a to know it", () => {
        expect([lastOf(group, "c"), durableOf(group, "c")]).toEqual([last + 6, last + 6]);
        return matchOf(group, "a", "c") === last + 6;
      });

      expect(group.untilEnded(operations)).toEqual([1, 3, 6, 10, 15, 21]);
      group.heal().untilQuiet().conclude();
    }
  });

  test("R4: a tail that conflicts is gone as a whole, also after a restart, although what replaces it is shorter", () => {
    for (const seed of seeds(4)) {
      const group = groupLedBy("a", { ...stepwise, seed, clients: [["b", "c"], ["a"]] });
      const last = lastOf(group, "a");
      group.cutOff(["a", "c2"]);
      const asked = [1, 2, 3, 4, 5, 6].map((value) => group.ask(add(value), { from: 2, timeoutMs: 500 }));
      group.until("a to have them", () => durableOf(group, "a") === last + 6);
      // Whoever asked is gone: else "a" would send on what it has not answered.
      group.cut("a", "c2").reset("a", "c2").untilEnded(asked);
      const next = group.untilLeader({ not: "a" });

      group.heal().cutOff(["c2"]).untilQuiet();
      for (const id of group.replicas) expect(lastOf(group, id)).toBe(last + 1);
      for (const id of group.replicas) expect(entryTerm(group, id, last + 1)).toBe(termOf(group, next));
      group.pass(20).cutOff(["a"]).powerCut("a").start("a");

      expect(lastOf(group, "a")).toBe(last + 1);
      expect(entryTerm(group, "a", last + 1)).toBe(termOf(group, next));
      group.heal().untilQuiet().conclude();
    }
  });

  test("R5: a follower with a long tail of its own acknowledges what it shares with the leader, and no more", () => {
    for (const seed of seeds(4)) {
      const group = groupLedBy("a", { ...stepwise, seed, clients: ["all", ["a"]] });
      const last = lastOf(group, "a");
      group.cutOff(["a", "c2"]);
      for (let value = 1; value <= 8; value += 1) group.ask(add(value), { from: 2 });
      group.until("a to have them", () => durableOf(group, "a") === last + 8);
      const next = group.untilLeader({ not: "a" });
      group.untilEnded([group.ask(add(10))]);
      group.kill(group.anyOther("a", next));
      const operations = Array.from({ length: 12 }, () => group.ask(add(100)));
      group.until("the leader to have them", () => durableOf(group, next) === last + 14);

      group.heal();
      group.until("all to be counted", () => {
        const match = matchOf(group, next, "a") ?? 0;
        expect(entryTerm(group, "a", match)).toBe(entryTerm(group, next, match));
        return match === lastOf(group, next);
      });

      expect(group.untilEnded(operations)).toHaveLength(12);
      group
        .start(...group.replicas)
        .untilQuiet()
        .conclude();
    }
  });
});

describe("acknowledgements", () => {
  // Answers that are late within one term are in raft-replication.test.ts, "of an older term move nothing, and match never goes back".
  test("R6: acknowledgements of an earlier term say nothing to the replica that leads again", () => {
    for (const seed of seeds(2)) {
      const { limits, plan } = stepwise;
      const raft = { heartbeatMs: 50, electionTimeoutMsMin: 300, electionTimeoutMsMax: 600 };
      const group = groupLedBy("a", {
        plan,
        limits: { ...limits, raft, transport: { peerSilenceMsMax: 60_000 } },
        replicas: 5,
        seed,
        clients: [["c", "d", "e"], ["a"], ["a"]],
      });
      const last = lastOf(group, "a");
      const rest = ["c", "d", "e"];
      keepTo(group, 2, "a");

      // One leads, and what "b" acknowledges does not arrive;
      const releases = rest.flatMap((id) => [group.hold("a", id), group.hold(id, "a")]);
      for (const id of rest) group.cut("b", id);
      const releaseAnswers = group.hold("b", "a");
      for (let value = 1; value <= 10; value += 1) group.ask(add(1), { from: 2, timeoutMs: 2_000 });
      group.until("b to have them", () => durableOf(group, "b") === last + 10);
      group.cutOneWay("a", "b").cut("a", "c2").reset("a", "c2");
      // another leads, and replaces what only these two have;
      const next = group.untilLeader({ not: "a" });
      for (const value of [1, 2]) expect(group.call(add(1))).toBe(value);
      for (const release of releases) release();
      group.until("a to follow", () => lastOf(group, "a") === last + 3 && group.executed("a") === last + 3);
      // the first leads again, and two of five have what it adds.
      const [one = "", two = ""] = rest.filter((id) => id !== next);
      group.cut(one, two).kill(next);
      group.until("a to lead again", () => group.leader === "a");
      group.hold("a", two);
      const operations = Array.from({ length: 8 }, () => group.ask(add(1), { from: 3 }));
      group.until("one to have them", () => durableOf(group, one) === last + 12);
      const term = termOf(group, "a");

      releaseAnswers();
      group.pass(60);
      expect({ term: termOf(group, "a"), match: matchOf(group, "a", "b") }).toEqual({ term, match: 0 });
      expect(group.raft("a").commitIndex).toBe(last + 4);

      group.heal().start(next);
      expect(group.untilEnded(operations)).toHaveLength(8);
      group.untilQuiet().conclude();
    }
  });

  // Each signal by itself, with seven replicas, is in raft-replication.test.ts, "a late signal of an overwritten write confirms nothing
  // at that index".
  test("R7: an entry that was replaced twice while it was being written is not durable before its last write is", () => {
    for (const how of ["goes on", "loses power"] as const) {
      for (const seed of seeds(2)) {
        const group = groupLedBy("a", { ...stepwise, replicas: 5, seed, clients: [["a"]] });
        const index = lastOf(group, "a") + 1;
        const term = termOf(group, "a");

        // The first leader's entry waits for the disk of "c",
        group.disk("c").stick();
        for (const id of ["b", "d", "e"]) group.cut("a", id);
        const operation = group.ask(add(1));
        group.until("c to take it", () => durableOf(group, "a") === index && lastOf(group, "c") === index);
        group.kill("a");
        // the second leader's entry replaces it there and nowhere else,
        star(group, "b");
        for (const id of ["b", "d", "e"]) group.reset("a", id);
        group.until("the votes for b", () => ["d", "e"].every((id) => votedIn(group, id, term + 1) === "b"));
        for (const id of ["d", "e"]) group.cutOneWay("b", id);
        group.until("c to replace it", () => entryTerm(group, "c", index) === term + 1);
        group.kill("b");
        // and the first leader puts its own back.
        star(group, "a");
        group.start("a").until("the votes for a", () => {
          return ["d", "e"].every(
            (id) => votedIn(group, id, termOf(group, "a")) === "a" && hasRole(group, "a", "candidate"),
          );
        });
        group.cutOneWay("a", "e");
        group.until("c to take it back", () => entryTerm(group, "c", index) === term);
        group.until("d to have it", () => matchOf(group, "a", "d") === index + 1);

        const { writes } = group.raft("c");
        const { length } = writes.pending;
        group.disk("c").speed = slow(20);
        group.disk("c").unstick();
        group.until("the first write to end", () => writes.pending.length < length);
        expect(writes.pending.length).toBeGreaterThan(0);
        expect(durableOf(group, "c")).toBe(index - 1);
        expect(matchOf(group, "a", "c")).toBeLessThan(index);
        expect(group.raft("a").commitIndex).toBeLessThan(index);
        if (how === "loses power") group.powerCut("c").start("c");

        expect(group.heal().start("b").untilEnded([operation])).toEqual([1]);
        group.untilQuiet().conclude();
      }
    }
  });

  test("R8: what was acknowledged is there after the power of two of three went at once", () => {
    for (const who of ["both followers", "the leader and a follower"] as const) {
      for (const seed of seeds(4)) {
        const group = groupLedBy("a", { seed, limits: { admission: { batchCountMax: 4 } } });
        const hit = who === "both followers" ? ["b", "c"] : ["a", "b"];
        for (const id of group.replicas) group.disk(id).speed = slow(1);
        const operations = Array.from({ length: 125 }, () => group.ask(add(1)));
        const answered = (): number => operations.filter(({ end }) => end !== undefined).length;
        group.until("some of them to end", () => answered() > 20 * (seed % 5));
        expect(answered()).toBeLessThan(125);

        group.powerCut(...hit).start(...hit);
        const outputs = group.untilEnded(operations);

        expect(outputs).toEqual(outputs.map((_, at) => at + 1));
        expect(group.call(sum)).toBe(125);
        group.untilQuiet().conclude();
      }
    }
  });
});

describe("replicas that have lost something", () => {
  test("R11: a follower whose log is shorter than what it acknowledged is told so, stands aside, and holds nobody up", () => {
    for (const seed of seeds(3)) {
      const group = groupLedBy("a", { seed });
      const copy = group.disk("b").copy();
      for (let value = 1; value <= 20; value += 1) expect(group.call(add(1))).toBe(value);
      group.untilQuiet();

      group.putBack("b", copy).start("b");
      const short = lastOf(group, "b");
      const { packets } = group.world.network.statistics;
      group.pass(3_000);
      expect(group.world.network.statistics.packets - packets).toBeLessThan(600);
      expect([lastOf(group, "b"), group.leader, group.call(add(1))]).toEqual([short, "a", 21]);
      expect(short).toBeLessThan(lastOf(group, "a") - 20);
      expect(group.replica("b").lostBecause).toBe("disowned");

      group.untilReplaced("b");
      makeLead(group, "c");
      expect(group.call(add(1))).toBe(22);
      group.untilQuiet().conclude();
    }
  });

  test("R12: a replica whose log is damaged neither leads nor votes for one that has less than it once acknowledged", () => {
    for (const [outcome, first, last] of [
      ["damaged", 25, 25],
      ["amnesiac", 5, 25],
    ] as const) {
      const group = groupLedBy("a", { seed: 12 });
      group.kill("c");
      for (let value = 1; value <= 30; value += 1) expect(group.call(add(1))).toBe(value);
      group.untilQuiet().pass(10).kill("b");
      const [from, to] = [entryOf(group, "b", first), entryOf(group, "b", last)];
      group.spoil("b").damage(from.path, (bytes) => bytes.fill(0xff, from.bodyAt, to.end));

      group.kill("a").start("b", "c");
      for (let second = 0; second < 10; second += 1) expect(group.pass(1_000).leader).toBeUndefined();
      expect(group.replica("b").lostBecause ?? group.raft("b").trust).toBe(outcome);
      group.start("a");

      expect(group.call(add(1))).toBe(31);
      group.untilQuiet();
      if (outcome === "damaged") expect(group.raft("b").trust).toBe("whole");
      group.conclude();
    }
  });

  test("R13: a follower far behind gets entries as large as a message, and many small ones, in messages within the frame", () => {
    for (const logCacheBytes of [2_048, 16_777_216]) {
      const group = groupLedBy("a", {
        seed: 13,
        clientLimits: { inputBytesMax: 7_600 },
        limits: {
          raft: { appendBytesMax: 8_192, inflightBytesMax: 32_768, logCacheBytes },
          admission: { batchCountMax: 1, batchBytesMax: 8_192 },
          transport: { peerFrameBytesMax: 16_384 },
        },
      });
      group.kill("c");
      for (let count = 0; count < 300; count += 1) group.ask(add(1));
      for (let count = 0; count < 20; count += 1) {
        group.ask({ command: "append", input: { key: `k${count}`, value: "x".repeat(7_500) } });
      }
      group.untilQuiet();

      group.start("c").untilQuiet(5_000);

      expect(group.world.trace.lines.filter((line) => line.includes("frame"))).toEqual([]);
      group.conclude();
    }
  });
});
