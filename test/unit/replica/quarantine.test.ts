/** Who is set aside, for how long, and who is not. */
import { describe, expect, test } from "vitest";
import { logIndex, type LogIndex } from "../../../src/model/ids.js";
import type { Membership } from "../../../src/model/membership.js";
import { isSpared } from "../../../src/model/quarantine.js";
import { Quarantine } from "../../../src/replica/quarantine.js";

function i(value: number): LogIndex {
  const index = logIndex(value);
  if (index === undefined) throw new RangeError(`${value} is no index`);
  return index;
}

function group(ids: string, learners = ""): Membership {
  const of = (names: string, role: "voter" | "learner") =>
    [...names].map((id) => ({ id, role, incarnation: 1, peer: `${id}:1`, client: `${id}:2` }));
  return { members: [...of(ids, "voter"), ...of(learners, "learner")] };
}

const named = (replica: string, from: number, to = from, incarnation = 1) => ({
  replica,
  incarnation,
  from: i(from),
  to: i(to),
});

/** Replica a, of which others may say something. */
class Accused {
  readonly quarantine = new Quarantine("a", 1, { rebuildsMax: 2, rebuildWindowMs: 1_000 });
  now = 0;
  readonly #membership: Membership;

  constructor(ids = "abc") {
    this.#membership = group(ids);
  }

  accuse(by: string, to: number, at: number, { incarnation = 1, spared = true } = {}): this {
    for (const each of by) this.quarantine.accused(each, { incarnation, to: i(to), at: i(at), isSpared: spared });
    return this;
  }

  /** Whether it has to begin anew, and what it is then. */
  look(index: number, ...found: readonly ReturnType<typeof named>[]): string {
    const mustRebuild = this.quarantine.look({
      now: this.now,
      index: i(index),
      named: found,
      membership: this.#membership,
    });
    return `${mustRebuild ? "begins anew, " : ""}${this.quarantine.state}`;
  }
}

describe("Q1: a replica is set aside", () => {
  test("when it has executed that it is named itself", () => {
    const accused = new Accused();
    expect(accused.look(9)).toBe("sound");
    expect(accused.look(10, named("b", 8))).toBe("sound");
    expect(accused.look(11, named("a", 8, 8, 2))).toBe("sound");
    expect(accused.look(12, named("a", 8))).toBe("begins anew, rebuilding");
  });

  test("when more than half of all voters say so, and by nobody less", () => {
    const three = new Accused("abc").accuse("b", 8, 12);
    expect(three.look(10)).toBe("sound");
    expect(three.accuse("x", 8, 12).look(10)).toBe("sound");
    expect(three.accuse("c", 8, 12).look(10)).toBe("begins anew, rebuilding");
    const five = new Accused("abcde").accuse("bc", 8, 12);
    expect(five.look(10)).toBe("sound");
    expect(five.accuse("d", 4, 12).look(10)).toBe("begins anew, rebuilding");
  });

  test("not for what another disk of its name did", () => {
    expect(new Accused().accuse("bc", 8, 12, { incarnation: 2 }).look(10)).toBe("sound");
  });
});

test("it serves again once it has executed as much as before, and the verdict, and is not named any more", () => {
  const accused = new Accused().accuse("bc", 8, 12);
  accused.look(10);
  expect(accused.look(0)).toBe("rebuilding");
  expect(accused.look(10)).toBe("rebuilding");
  expect(accused.look(12, named("a", 8))).toBe("rejoining");
  expect([accused.quarantine.isServing, accused.quarantine.isOut]).toEqual([false, false]);
  expect(accused.look(13)).toBe("sound");
  expect(accused.quarantine.count).toBe(1);
});

test("however far one of those who accuse it goes, it need not execute more than a majority has", () => {
  const accused = new Accused("abcde").accuse("bc", 8, 12).accuse("d", 1_000_000, 1_000_000);
  accused.look(10);
  expect(accused.look(12)).toBe("sound");
  // And what it does later counts.
  expect(accused.look(20, named("a", 15))).toBe("begins anew, rebuilding");
});

test("Q2: what was reported with a state that is gone is no news, whenever it is heard", () => {
  const accused = new Accused();
  accused.look(10, named("a", 8));
  expect(accused.look(9, named("a", 8))).toBe("rebuilding");
  expect(accused.accuse("bc", 10, 14).look(11, named("a", 8, 10))).toBe("rejoining");
  expect(accused.look(12)).toBe("sound");
  expect(accused.look(13, named("a", 9))).toBe("sound");
  expect(accused.look(14, named("a", 9, 11))).toBe("begins anew, rebuilding");
});

test("Q3: who differs again and again is rebuilt so often within a while, and then not any more", () => {
  const accused = new Accused();
  expect(accused.look(10, named("a", 8))).toBe("begins anew, rebuilding");
  accused.look(10);
  expect(accused.look(20, named("a", 18))).toBe("begins anew, rebuilding");
  accused.look(20);
  accused.now = 1_000;
  // The first is long ago.
  expect(accused.look(30, named("a", 28))).toBe("begins anew, rebuilding");
  accused.look(30);
  accused.now = 1_001;
  accused.look(40, named("a", 38));
  accused.look(40);
  expect(accused.look(50, named("a", 48))).toBe("stopped");
  expect(accused.look(60)).toBe("stopped");
  expect([accused.quarantine.isServing, accused.quarantine.isOut]).toEqual([false, true]);
});

test("a checkpoint that is not the certified one counts like a verdict, also while it is rebuilt", () => {
  const { quarantine } = new Accused();
  expect(quarantine.disproved({ now: 0, index: i(10) })).toBe(true);
  expect(quarantine.disproved({ now: 1, index: i(5) })).toBe(true);
  expect(quarantine.disproved({ now: 2, index: i(5) })).toBe(false);
  expect(quarantine.state).toBe("stopped");
});

describe("no more are set aside than can be spared", () => {
  test("in the order in which they first differed", () => {
    const both = [named("c", 7, 9), named("a", 8), named("b", 8)];
    const spared = (ids: string) => [..."abc"].filter((id) => isSpared(both, group(ids), id)).join("");
    expect([spared("abc"), spared("abcd"), spared("abcde"), spared("abcdefg")]).toEqual(["c", "c", "ac", "abc"]);
  });

  test("a learner always, and of two nobody", () => {
    expect(isSpared([named("a", 8), named("c", 9)], group("ab", "c"), "c")).toBe(true);
    expect(isSpared([named("a", 8)], group("ab"), "a")).toBe(false);
  });

  test("while members change, of both sets", () => {
    const membership = { ...group("abcde"), before: group("ab").members };
    expect(isSpared([named("a", 8)], membership, "a")).toBe(false);
    expect(isSpared([named("e", 8)], membership, "e")).toBe(true);
  });

  test("one too many serves on and says so, until it agrees or can be spared", () => {
    const accused = new Accused();
    expect(accused.look(10, named("b", 5), named("a", 8))).toBe("unspared");
    expect(accused.quarantine.isServing).toBe(true);
    expect(accused.look(11)).toBe("sound");
    accused.look(12, named("b", 5), named("a", 8));
    expect(accused.look(13, named("a", 8))).toBe("begins anew, rebuilding");
    expect(new Accused().accuse("bc", 8, 12, { spared: false }).look(10)).toBe("unspared");
  });
});
