/** What survivors of a lost majority go on with, what they refuse, and what is said to be gone. */
import { describe, expect, test } from "vitest";
import type { Member, MemberRole, Membership } from "../../../src/model/membership.js";
import {
  planRecovery,
  refusalOfAnswers,
  type Recovery,
  type RecoveryRefused,
  type Survivor,
} from "../../../src/replica/recovery-plan.js";
import { indexOf, termOf } from "../../../test-support/log-world.js";

const member = (id: string, role: MemberRole = "voter", incarnation = 1): Member => ({
  ...{ id, role, incarnation },
  ...{ peer: `${id}:1`, client: `${id}:2` },
});
const voters = (ids: string): readonly Member[] => [...ids].map((id) => member(id));

interface Told {
  /** Term and index of its last entry. */
  readonly end: readonly [number, number];
  readonly membership?: Membership;
  readonly committed?: number;
  readonly executed?: number;
  readonly term?: number;
  readonly incarnation?: number;
  readonly flaw?: string;
}

function survivor(id: string, told: Told): Survivor {
  const { end, membership = { members: voters("abcde") } } = told;
  return {
    ...{ clusterId: "shop", machine: "kv", id, flaw: told.flaw, incarnation: told.incarnation ?? 1 },
    term: termOf(told.term ?? end[0]),
    last: { term: termOf(end[0]), index: indexOf(end[1]) },
    committed: indexOf(told.committed ?? 0),
    executed: indexOf(told.executed ?? 0),
    configuration: { term: termOf(0), index: indexOf(0), membership },
  };
}

const plan = (...survivors: readonly Survivor[]): Recovery | RecoveryRefused =>
  planRecovery({ survivors, to: "shop-2", places: [] });

describe("whose log it is", () => {
  test("the one of the later last term, however short; in one term the longer one", () => {
    const late = plan(survivor("a", { end: [3, 90] }), survivor("b", { end: [4, 80] }));
    const long = plan(survivor("a", { end: [3, 90] }), survivor("b", { end: [3, 80] }));
    expect(late).toMatchObject({ source: "b", entry: { index: 81, term: 5 } });
    expect(long).toMatchObject({ source: "a", entry: { index: 91, term: 4 } });
  });

  test("the new term is above every term that a survivor has promised anything in", () => {
    expect(plan(survivor("a", { end: [3, 90] }), survivor("b", { end: [3, 80], term: 17 }))).toMatchObject({
      entry: { index: 91, term: 18 },
    });
  });

  test("a log with damaged entries is passed over, and what it alone may hold is said to be gone", () => {
    const [damaged, whole] = [survivor("a", { end: [3, 90], flaw: "damaged" }), survivor("b", { end: [3, 80] })];
    expect(plan(damaged, whole)).toMatchObject({ source: "b", gone: { from: 81, certainTo: undefined } });
    expect(plan(damaged)).toMatchObject({ kind: "refused", code: "noWholeLog" });
  });
});

describe("what is lost", () => {
  test("three of five could acknowledge without any survivor: all behind the log, and nobody knows how far", () => {
    expect(
      plan(survivor("a", { end: [3, 90], committed: 70 }), survivor("b", { end: [3, 80], committed: 75 })),
    ).toMatchObject({
      lost: [{ id: "c" }, { id: "d" }, { id: "e" }],
      uncertain: { from: 76, to: 90 },
      gone: { from: 91, certainTo: undefined },
    });
  });

  test("two of four, or one of two, could not: nothing that was acknowledged is gone", () => {
    const four = { members: voters("abcd") };
    const two = { members: voters("ab") };
    const half = plan(
      survivor("a", { end: [3, 90], membership: four }),
      survivor("b", { end: [3, 80], membership: four }),
    );
    expect(half).toMatchObject({ kind: "recovery", gone: undefined });
    expect(plan(survivor("b", { end: [3, 90], membership: two }))).toMatchObject({ kind: "recovery", gone: undefined });
  });

  test("what a survivor knows to be committed behind the log that goes on is gone for certain", () => {
    const behind = survivor("b", { end: [2, 95], committed: 95, flaw: "its state is damaged" });
    expect(plan(survivor("a", { end: [3, 90], committed: 70 }), behind)).toMatchObject({
      source: "a",
      uncertain: undefined,
      gone: { from: 91, certainTo: 95 },
    });
  });
});

test("one whose state is ahead of the log that goes on would be another machine: it is refused", () => {
  const ahead = survivor("b", { end: [2, 95], executed: 91, flaw: "damaged" });
  expect(plan(survivor("a", { end: [2, 90] }), ahead)).toMatchObject({ code: "hasExecutedMore" });
  expect(plan(survivor("a", { end: [2, 90] }), { ...ahead, executed: indexOf(90) })).toMatchObject({ source: "a" });
});

describe("who counts", () => {
  test("a majority of the members is refused, of a joint configuration only a majority of both", () => {
    const three = { members: voters("abc") };
    expect(
      plan(survivor("a", { end: [1, 5], membership: three }), survivor("b", { end: [1, 5], membership: three })),
    ).toMatchObject({
      code: "majorityLives",
    });
    const joint = { members: voters("abf"), before: voters("abcde") };
    const [a, b] = ["a", "b"].map((id) => survivor(id, { end: [1, 5], membership: joint }));
    if (a === undefined || b === undefined) throw new Error("two survivors");
    const recovery = plan(a, b);
    expect(recovery).toMatchObject({ members: [{ id: "a" }, { id: "b" }], gone: { from: 6 } });
    expect(recovery).toMatchObject({ lost: [{ id: "f" }, { id: "c" }, { id: "d" }, { id: "e" }] });
    expect(plan(a, b, survivor("c", { end: [1, 4], membership: joint }))).toMatchObject({ code: "majorityLives" });
  });

  test("members of both sides of a change stay voters; of learners only the source becomes one", () => {
    const membership = {
      members: [...voters("ab"), member("l", "learner", 0), member("m", "learner", 0)],
      before: [...voters("abcde"), member("l", "learner", 0), member("m", "learner", 0)],
    };
    const told = { membership, incarnation: 7 };
    const recovery = plan(
      survivor("l", { ...told, end: [3, 90] }),
      survivor("m", { ...told, end: [3, 80] }),
      survivor("c", { membership, end: [3, 80] }),
    );
    expect(recovery).toMatchObject({
      source: "l",
      members: [
        { id: "l", role: "voter", incarnation: 7 },
        { id: "m", role: "learner", incarnation: 7 },
        { id: "c", role: "voter", incarnation: 1 },
      ],
    });
  });

  test("a directory that was replaced, and one of nobody that is a member, are refused", () => {
    const membership = { members: [member("a", "voter", 55), ...voters("bcde")] };
    expect(plan(survivor("a", { end: [1, 5], membership }))).toMatchObject({ code: "replaced" });
    expect(plan(survivor("x", { end: [1, 5], membership }))).toMatchObject({ code: "notAMember" });
  });

  test("the old cluster id, another cluster's survivor and one that is given twice are refused", () => {
    const a = survivor("a", { end: [1, 5] });
    expect(planRecovery({ survivors: [a], to: "shop", places: [] })).toMatchObject({ code: "sameCluster" });
    expect(plan(a, { ...survivor("b", { end: [1, 4] }), clusterId: "bank" })).toMatchObject({
      code: "differentClusters",
    });
    expect(plan(a, a)).toMatchObject({ code: "duplicate" });
  });

  test("where members are now comes from whoever asks", () => {
    const places = [{ id: "a", peer: "new:1", client: "new:2" }];
    expect(planRecovery({ survivors: [survivor("a", { end: [1, 5] })], to: "shop-2", places })).toMatchObject({
      members: [{ id: "a", peer: "new:1", client: "new:2" }],
    });
  });
});

describe("who answers", () => {
  const wish = {
    survivors: [survivor("a", { end: [1, 5] }), survivor("b", { end: [1, 5] })],
    to: "shop-2",
    places: [],
  };
  test.each([
    [[], undefined],
    [["c"], "majorityLives"],
    [["b"], "notLost"],
  ])("of a and b of five, if %j answer", (ids, code) => {
    expect(
      refusalOfAnswers(
        wish,
        ids.map((id) => ({ id, address: `${id}:2` })),
      )?.code,
    ).toBe(code);
  });

  test("one that is no majority with the others is not lost either: its log may be the longest", () => {
    const alone = { ...wish, survivors: [survivor("a", { end: [1, 5] })] };
    expect(refusalOfAnswers(alone, [{ id: "c", address: "c:2" }])).toMatchObject({ code: "notLost" });
  });
});
