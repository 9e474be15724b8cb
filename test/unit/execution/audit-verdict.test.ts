/** The verdict on one position: hazards N8 (the leader is the wrong one), N9 (too few reports) and the members that count. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { verdictOf, type ReportedDigest } from "../../../src/execution/audit-verdict.js";
import type { AuditMembers } from "../../../src/model/audit.js";
import { quorumOf } from "../../../src/model/membership.js";

function membersWith(voters: string, learners = "", before?: string): AuditMembers {
  const voterSets = [[...voters], ...(before === undefined ? [] : [[...before]])];
  return { voterSets, executing: [...new Set([...voters, ...learners, ...(before ?? "")])].sort() };
}

/** `a1 b1 c2`: by whom, and what he has. */
function reportsOf(text: string, members: AuditMembers): readonly ReportedDigest[] {
  return text
    .split(" ")
    .filter((word) => word !== "")
    .map(([replica = "", value]) => {
      const fingerprint = { high: Number(value), low: 7 };
      return { replica, members, output: fingerprint, state: fingerprint };
    });
}

const three = membersWith("abc");
const five = membersWith("abcde");
const joint = membersWith("abd", "", "abc");
/** Members, reports; kind, who agrees, differs, is missing. */
const table: readonly (readonly [string, AuditMembers, string, string, string, string, string])[] = [
  ["all three agree", three, "a1 b1 c1", "agreed", "abc", "", ""],
  ["the third differs", three, "a1 b1 c2", "named", "ab", "c", ""],
  ["the first, who may lead, differs", three, "a2 b1 c1", "named", "bc", "a", ""],
  ["two agree, one is missing", three, "a1 b1", "agreed", "ab", "", "c"],
  ["two differ, one is missing", three, "a1 b2", "different", "", "ab", "c"],
  ["all three differ", three, "a1 b2 c3", "allDifferent", "", "abc", ""],
  ["one of three has reported", three, "a1", "notChecked", "", "", "abc"],
  ["five voters, two against one: nobody", five, "a1 b1 c2", "different", "", "abc", "de"],
  ["five voters, three against two", five, "a1 b1 c1 d2 e2", "named", "abc", "de", ""],
  ["five voters, two against two", five, "a1 b1 c2 d2", "different", "", "abcd", "e"],
  ["five voters, two agree: not enough", five, "a1 b1", "notChecked", "", "", "abcde"],
  ["two voters agree", membersWith("ab"), "a1 b1", "agreed", "ab", "", ""],
  ["two voters differ", membersWith("ab"), "a1 b2", "different", "", "ab", ""],
  ["four voters, two against two", membersWith("abcd"), "a1 b1 c2 d2", "different", "", "abcd", ""],
  [
    "four voters, two against one: the fourth may be with either",
    membersWith("abcd"),
    "a1 b1 c2",
    "different",
    "",
    "abc",
    "d",
  ],
  ["a learner differs", membersWith("abc", "l"), "a1 b1 c1 l2", "named", "abc", "l", ""],
  ["a learner counts against nobody", membersWith("abc", "l"), "a1 b2 l1", "different", "", "abl", "c"],
  ["a voter and his learner differ: two cannot tell", membersWith("a", "l"), "a1 l2", "different", "", "al", ""],
  ["one replica alone", membersWith("a"), "a1", "alone", "a", "", ""],
  ["both sets of a change agree", joint, "a1 b1 c1 d1", "agreed", "abcd", "", ""],
  ["both sets of a change are against one", joint, "a1 b1 c2 d1", "named", "abd", "c", ""],
  ["only one set of a change agrees", membersWith("abc", "", "cde"), "a1 b1 c2", "different", "", "abc", "de"],
  ["nobody has reported of known members", three, "", "notChecked", "", "", "abc"],
];

describe("the verdict", () => {
  test.each(table.map((row) => [row[0], row] as const))("%s", (_, row) => {
    const [, members, reports, kind, agreeing, differing, missing] = row;
    expect(verdictOf(reportsOf(reports, members), members)).toEqual({
      kind,
      agreeing: [...agreeing],
      differing: [...differing],
      missing: [...missing],
    });
  });

  test("outputs count as states do", () => {
    const [a, b, c] = reportsOf("a1 b1 c1", three);
    const wrong = { ...(c as ReportedDigest), output: { high: 1, low: 8 } };
    expect(verdictOf([a as ReportedDigest, b as ReportedDigest, wrong], undefined)).toMatchObject({
      kind: "named",
      differing: ["c"],
    });
  });

  test("who is wrong about the members cannot make himself a majority", () => {
    const alone = reportsOf("c2", membersWith("c"));
    expect(verdictOf([...reportsOf("a1 b1", three), ...alone], undefined)).toMatchObject({
      kind: "named",
      differing: ["c"],
    });
    const pair = reportsOf("c2 d2", membersWith("cd"));
    expect(verdictOf([...reportsOf("a1 b1", five), ...pair], undefined)).toMatchObject({ kind: "different" });
    const many = reportsOf("c2", membersWith("abcdefg"));
    expect(verdictOf([...reportsOf("a1 b1", three), ...many], undefined)).toMatchObject({ kind: "different" });
  });

  test("who is no member is not heard", () => {
    expect(verdictOf(reportsOf("a1 b1 c1 x2", three), three)).toMatchObject({
      kind: "agreed",
      agreeing: ["a", "b", "c"],
    });
  });
});

test("with at most f wrong reports a correct replica is never named, and a wrong one is once enough have reported", () => {
  const drawn = fc.record({
    count: fc.integer({ min: 1, max: 7 }),
    wrong: fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 3 }),
    values: fc.array(fc.integer({ min: 2, max: 4 }), { minLength: 7, maxLength: 7 }),
    silent: fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 4 }),
    order: fc.array(fc.nat(), { minLength: 7, maxLength: 7 }),
  });
  fc.assert(
    fc.property(drawn, ({ count, wrong, values, silent, order }) => {
      const ids = [..."abcdefg"].slice(0, count);
      const members = membersWith(ids.join(""));
      const faulty = [...new Set(wrong)].filter((at) => at < count).slice(0, Math.floor((count - 1) / 2));
      const speaking = ids.filter((_, at) => !silent.includes(at));
      const words = speaking.map((id) => {
        const at = ids.indexOf(id);
        return `${id}${faulty.includes(at) ? values[at] : 1}`;
      });
      const shuffled = words
        .slice()
        .sort((left, right) => (order[ids.indexOf(left.charAt(0))] ?? 0) - (order[ids.indexOf(right.charAt(0))] ?? 0));
      const verdict = verdictOf(reportsOf(shuffled.join(" "), members), undefined);

      expect(verdict).toEqual(verdictOf(reportsOf(words.join(" "), members), undefined));
      const isWrong = (id: string): boolean => faulty.includes(ids.indexOf(id));
      if (verdict.kind === "named") expect(verdict.differing.every(isWrong)).toBe(true);
      const right = speaking.filter((id) => !isWrong(id));
      const isProven = right.length >= Math.max(2, quorumOf(count));
      if (isProven) expect(verdict.differing).toEqual(speaking.filter(isWrong));
      if (verdict.kind === "agreed") expect(isProven).toBe(true);
    }),
    { seed: 20_261_128, numRuns: 2_000 },
  );
});
