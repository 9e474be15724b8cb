/** What counts as evidence against a replica: two signed statements that a correct one never makes both, and nothing less. */
import { describe, expect, test } from "vitest";
import { judge, type Contradiction, type JudgeParts } from "../../../src/authentication/evidence.js";
import { signedBytesOf } from "../../../src/authentication/domain.js";
import { contradicts } from "../../../src/consensus/bft/contradiction.js";
import type { Signed, Statement } from "../../../src/consensus/bft/messages.js";
import { isSignedBy } from "../../../src/node/signatures.js";
import {
  checkpoint,
  commit,
  KeyedReplicas,
  mainDomain,
  one,
  other,
  prepare,
} from "../../../test-support/bft-contradictions.js";

const replicas = new KeyedReplicas();
const trust: JudgeParts = { keys: replicas.keys, cluster: "main", isSignedBy };

const bytesOf = ({ statement, signature }: Signed, domain = mainDomain) => ({
  ...{ signed: signedBytesOf(domain, statement), signature },
});
const against = (by: string, first: Statement, second: Statement, domain = mainDomain): Contradiction => ({
  ...{ by, key: replicas.keys.get(by) ?? new Uint8Array(32), replicas: 4 },
  first: bytesOf(replicas.seal(by, first, domain), domain),
  second: bytesOf(replicas.seal(by, second, domain), domain),
});
const objection = (contradiction: Contradiction, parts: Partial<JudgeParts> = {}): string | undefined =>
  judge(contradiction, { ...trust, ...parts }).objection;

describe("a correct replica never says both", () => {
  test.each<[string, Statement, Statement]>([
    ["PREPAREs", prepare(one), prepare(other)],
    ["PREPARE, of a batch and of the null request", prepare(one), prepare("")],
    ["COMMITs", commit(one), commit(other)],
    ["CHECKPOINTs", checkpoint(one), checkpoint(other)],
    ["NEW-VIEWs", replicas.newView(5, [one]), replicas.newView(5, [other])],
    ["NEW-VIEWs, one of which leaves something out", replicas.newView(5, [one]), replicas.newView(5, [])],
  ])("two %s, and each order of them holds", (_name, first, second) => {
    expect(objection(against("b", first, second))).toBeUndefined();
    expect(objection(against("b", second, first))).toBeUndefined();
    expect(judge(against("b", first, second), trust)).toMatchObject({ domain: mainDomain, first, second });
  });
});

describe("a correct replica may say both", () => {
  test.each<[string, Statement, Statement]>([
    ["the same twice", prepare(one), prepare(one)],
    ["in another view", prepare(one, 3), prepare(other, 4)],
    ["at another index", prepare(one, 3, 17), prepare(other, 3, 18)],
    ["PREPARE and COMMIT", prepare(one), commit(other)],
    ["CHECKPOINTs after different indexes", checkpoint(one, 16), checkpoint(other, 32)],
    [
      "the same NEW-VIEW from other view changes",
      replicas.newView(5, [one]),
      { ...replicas.newView(5, [one]), viewChanges: ["b", "c", "d"].map((by) => replicas.viewChange(by, 5)) },
    ],
    ["NEW-VIEWs of different views", replicas.newView(1, [one]), replicas.newView(5, [other])],
    ["VIEW-CHANGEs", replicas.viewChange("b", 5).statement, replicas.viewChange("b", 6).statement],
  ])("%s", (_name, first, second) => {
    expect(contradicts(first, second)).toBe(false);
    expect(objection(against("b", first, second))).toBe("a correct replica may say both");
  });
});

describe("evidence does not hold", () => {
  const good = against("b", prepare(one), prepare(other));

  test("if one of the two was signed by somebody else, whoever made it", () => {
    const framed = { ...good, second: bytesOf(replicas.seal("d", prepare(other))) };

    expect(objection(framed)).toBe("what is signed second was not signed by b");
    expect(objection({ ...good, by: "c" })).toBe("what is signed first was not signed by c");
  });

  test("if one bit of signature or statement is another one", () => {
    for (const part of ["signed", "signature"] as const) {
      for (let bit = 0; bit < 8 * good.first[part].length; bit += 1) {
        const changed = good.first[part].slice();
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(objection({ ...good, first: { ...good.first, [part]: changed } })).toBeDefined();
      }
    }
  });

  test("if the two were said in different clusters or epochs (hazard B23)", () => {
    const elsewhere = { cluster: "other", epoch: 0 };
    const later = { cluster: "main", epoch: 1 };

    expect(objection({ ...good, second: bytesOf(replicas.seal("b", prepare(other), elsewhere), elsewhere) })).toBe(
      "the two were said in different clusters",
    );
    expect(objection({ ...good, second: bytesOf(replicas.seal("b", prepare(other), later), later) })).toBe(
      "the two were said in different epochs",
    );
  });

  test("if it is of another cluster than the members", () => {
    const elsewhere = { cluster: "other", epoch: 0 };
    const contradiction = against("b", prepare(one), prepare(other), elsewhere);

    expect(objection(contradiction)).toBe("it is of cluster other, and the members are of main");
    expect(objection(contradiction, { cluster: undefined })).toBeUndefined();
  });

  test("if nobody knows the key, whatever key it brings along", () => {
    expect(objection(good, { keys: new Map() })).toBe("no key of b is known");
    const others = new KeyedReplicas();
    expect(objection({ ...good, key: others.keys.get("b") ?? good.key }, { keys: others.keys })).toBe(
      "what is signed first was not signed by b",
    );
  });

  test("if something else was signed than a statement", () => {
    const request = new TextEncoder().encode("quorate requests 1");

    expect(objection({ ...good, first: { ...good.first, signed: request } })).toContain("first is no statement");
    expect(objection({ ...good, second: { ...good.second, signed: new Uint8Array(0) } })).toContain(
      "second is no statement",
    );
  });
});
