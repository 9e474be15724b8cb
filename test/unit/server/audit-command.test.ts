/** What `quorate audit` says of an answer, and when it is well. */
import { expect, test } from "vitest";
import { isWell, renderAudit, type AskedAudit } from "../../../src/server/commands/audit.js";

type Answered = Extract<AskedAudit, { readonly fault: undefined }>;

function answerWith(audit: Partial<Answered["audit"]>): Answered {
  const base = {
    positions: { agreed: 3, named: 0 },
    waiting: 1,
    recent: [],
    findings: [],
    named: [],
    replicas: [],
    evidence: [],
  };
  return { endpoint: "h:1", id: "b", audit: { ...base, ...audit }, fault: undefined };
}

const missed = { index: 9, kind: "agreed", agreeing: ["a", "b"], differing: [], missing: ["c"] };
const tie = { index: 12, kind: "different", agreeing: [], differing: ["a", "b"], missing: ["c"] };
const late = { replica: "c", agreedAt: 5, unchecked: 4, uncheckedFrom: 9, uncheckedMs: 31_000, isAlarm: true };

test("who differs, who was not checked and since when are told", () => {
  const text = renderAudit(
    answerWith({
      recent: [missed, tie],
      named: [{ replica: "a", from: 7, to: 9 }],
      replicas: [late],
      evidence: ["d/evidence/9.jsonl"],
    }),
  );
  expect(text).toBe(
    [
      "by b (h:1)",
      "  positions   3 agreed; 1 waiting",
      "  DIFFERS     a, from entry 7 to 9",
      "  c           agreed last at 5, NOT CHECKED AT 4 SINCE 9, FOR 31 S",
      "  last        9 agreed (same: a b; not checked: c)",
      "  last        12 different, cannot name (different: a b; not checked: c)",
      "  evidence    d/evidence/9.jsonl",
    ].join("\n"),
  );
});

test("well is only who answers, with nobody named, nothing unexplained and no alarm", () => {
  expect(isWell(answerWith({ recent: [missed] }))).toBe(true);
  expect(isWell(answerWith({ recent: [tie] }))).toBe(false);
  expect(isWell(answerWith({ recent: [tie, { ...missed, kind: "notChecked" }] }))).toBe(false);
  expect(isWell(answerWith({ named: [{ replica: "a", from: 7, to: 9 }] }))).toBe(false);
  expect(isWell(answerWith({ replicas: [late] }))).toBe(false);
  expect(isWell({ endpoint: "h:1", fault: "nobody listens" })).toBe(false);
});
