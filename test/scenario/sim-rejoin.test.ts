/** Replicas that lost a disk, or were given an old copy of one, told of whole clusters: they are noticed, stand aside, and come back as others (M8, M9). */
import { expect, test } from "vitest";

import { append, groupOf, quick, text, textOf } from "../../test-support/sim-stories.js";

const limits = { raft: quick };

test("M8: a wiped replica is refused until its id is given to an empty disk, and then its vote is needed and counts", () => {
  const group = groupOf(20, { seed: 4, limits });
  const wiped = group.anyOther(group.untilLeader());

  group.untilQuiet().wipe(wiped).start(wiped);
  expect(group.replica(wiped).lostBecause).toBe("empty");
  append(group, 5);
  group.untilReplaced(wiped).untilQuiet();

  // Two of three, one of which is the new one.
  const gone = group.untilLeader();
  group.kill(gone).untilLeader({ not: gone });
  append(group, 5);
  expect(text(group)).toBe(textOf(30));
  expect(group.raft(wiped).log.lastIndex).toBeGreaterThan(25);
  group.start(gone).untilQuiet().conclude();
});

test.each(["entries", "a vote"])(
  "M9: an old copy of a disk that lacks %s is noticed by whoever was promised it",
  (what) => {
    for (let seed = 1; seed <= 4; seed += 1) {
      const group = groupOf(10, { seed, limits });
      const leader = group.untilLeader();
      const old = seed % 2 === 0 ? group.anyOther(leader) : (group.others(leader)[1] ?? "");
      group.untilQuiet();
      const copy = group.disk(old).copy();
      if (what === "entries") append(group, 5);
      else group.kill(leader).untilLeader({ not: leader });
      group.start(leader).untilQuiet();

      group.putBack(old, copy).start(old);
      group.until("it to be disowned", () => group.replica(old).lostBecause, 5_000);
      expect(group.replica(old).lostBecause).toBe("disowned");

      append(group, 5);
      group.untilReplaced(old).untilQuiet();
      expect(group.raft(old).log.lastIndex).toBe(group.raft(group.untilLeader()).log.lastIndex);
      group.conclude();
    }
  },
);

test("M9: a disk that was put back as it was, or whose replica restarts, is nobody's concern", () => {
  const group = groupOf(10, { seed: 2, limits });
  const one = group.anyOther(group.untilLeader());
  group.untilQuiet();
  for (let count = 0; count < 5; count += 1) {
    group.restart(one).untilQuiet();
    append(group, 1);
  }
  group.powerCut(one).start(one).untilQuiet();
  expect(group.replica(one).lostBecause).toBeUndefined();
  group.conclude();
});

test("M9: an old copy is noticed by peers that were started anew themselves", () => {
  const group = groupOf(10, { seed: 5, limits });
  const leader = group.untilLeader();
  const old = group.anyOther(leader);
  group.untilQuiet();
  const copy = group.disk(old).copy();
  append(group, 5);
  group.untilQuiet().kill(old).pass(1_000);
  group.restart(...group.others(old)).untilLeader();
  group.putBack(old, copy).start(old);
  group.until("it to be disowned", () => group.replica(old).lostBecause === "disowned", 5_000);
  group.untilReplaced(old).untilQuiet().conclude();
});

test("M9: what is older by a start is noticed even if nothing was promised since", () => {
  const group = groupOf(10, { seed: 3, limits });
  const old = group.anyOther(group.untilLeader());
  group.untilQuiet();
  const copy = group.disk(old).copy();
  group.restart(old).untilQuiet();
  group.putBack(old, copy).start(old);
  group.until("it to be disowned", () => group.replica(old).lostBecause === "disowned", 5_000);
  group.untilReplaced(old).untilQuiet().conclude();
});

test.each([1, 2, 3])(
  "M10: a copy of a disk beside its replica is refused, and the replica goes on (seed %i)",
  (seed) => {
    const group = groupOf(10, { seed, limits });
    for (const id of group.replicas) {
      group.untilQuiet().kill(id);
      const copy = group.disk(id).copy();
      group.start(id).untilQuiet();
      append(group, 2);
      group.startCopy(id, copy);
      expect(group.replica(id).copy).toBeDefined();
      group.until("the copy to step aside", () => group.replica(id).copy === undefined);
      append(group, 2);
      expect(group.replica(id).lostBecause).toBeUndefined();
    }
    expect(group.world.markers.reached).toContain("a second process was refused on a copy of a disk");
    expect(text(group)).toBe(textOf(22));
    group.untilQuiet().conclude();
  },
);

test("M10: a copy that nobody can hear promises nothing, and is refused once it is heard, though its replica is down", () => {
  const group = groupOf(10, { seed: 4, limits });
  const id = group.untilQuiet().replicas[0] ?? "";
  group.kill(id);
  const copy = group.disk(id).copy();
  group.start(id).untilQuiet().cutOff([id]).startCopy(id, copy).pass(5_000);
  group.kill(id).pass(5_000);
  append(group, 5);
  expect(group.replica(id).copy).toBeDefined();

  group.heal().until("the copy to step aside", () => group.replica(id).copy === undefined);
  group.start(id).untilQuiet();
  append(group, 1);
  expect(group.replica(id).lostBecause).toBeUndefined();
  expect(text(group)).toBe(textOf(16));
  group.conclude();
});
