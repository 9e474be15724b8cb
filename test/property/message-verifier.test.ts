/** Whatever comes in whatever order, and whenever the verifier answers: what passes is good, whole, and in its sender's order. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { MessageVerifier } from "../../src/authentication/message-verifier.js";
import { Sealer, sealBundle } from "../../src/authentication/sealer.js";
import type { Checkpoint, Prepare, Signed } from "../../src/consensus/bft/messages.js";
import type { LogIndex, View } from "../../src/model/ids.js";
import type { SignatureVerifier } from "../../src/ports/signatures.js";
import { simHash } from "../../src/sim/sim-hash.js";
import { SimKeys } from "../../src/sim/sim-signatures.js";
import { encodeRequest } from "../../src/wire/request-codec.js";
import { decodeBundle } from "../../src/wire/signed-batch.js";
import { ManualClock } from "../../test-support/manual-clock.js";

const members = ["a", "b", "c", "d"];
const domain = { cluster: "main", epoch: 0 };
const limits = { batchBytesMax: 100_000, batchRequestsMax: 10 };

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("vote" as const),
      from: fc.constantFrom("b", "c", "d"),
      index: fc.integer({ min: 1, max: 6 }),
      isGood: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("proof" as const),
      from: fc.constantFrom("b", "c", "d"),
      index: fc.integer({ min: 1, max: 3 }),
      bad: fc.option(fc.nat({ max: 2 })),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("bundle" as const),
      from: fc.constantFrom("x", "y"),
      number: fc.integer({ min: 1, max: 5 }),
      isGood: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("forget" as const), from: fc.constantFrom("x", "y") }) },
  // Which of the calls under way is answered next.
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("answer" as const), which: fc.nat({ max: 5 }) }) },
);

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

/** Calls of the verifier are answered when and in the order in which the run says so. */
function run(steps: readonly Step[], turnCountMax: number, underWayCountMax: number) {
  const clock = new ManualClock();
  const keys = new SimKeys();
  const inner = keys.verifierOn(clock);
  const open: (() => void)[] = [];
  const verifier: SignatureVerifier = {
    verify: (claims, done) => {
      expect(claims.length).toBeGreaterThan(0);
      expect(claims.length).toBeLessThanOrEqual(turnCountMax);
      inner.verify(claims, (results) => open.push(() => done(results)));
    },
  };
  const gate = new MessageVerifier({
    ...{ domain, hash: simHash, clock, verifier },
    keys: new Map(members.map((id) => [id, keys.signerOf(id).publicKey])),
    settings: {
      credit: { burst: 1_000_000, perSecond: 1 },
      work: { burst: 1_000_000, perSecond: 1 },
      waitingCountMax: 1_000_000,
      turnCountMax,
      underWayCountMax,
      knownCountMax: 8,
    },
  });
  const expected = new Map<string, number[]>();
  const passed = new Map<string, number[]>();
  let sent = 0;
  const seal = (by: string, statement: Prepare | Checkpoint, isGood: boolean): Signed => {
    const signed = new Sealer(domain, by, keys.signerOf(by)).seal(statement);
    return isGood ? signed : { ...signed, signature: new Uint8Array(64) };
  };
  const track = (from: string, isGood: boolean, check: (done: () => void) => void): void => {
    const number = (sent += 1);
    if (isGood) expected.set(from, [...(expected.get(from) ?? []), number]);
    check(() => passed.set(from, [...(passed.get(from) ?? []), number]));
  };
  const perform = (each: Step): void => {
    switch (each.kind) {
      case "vote": {
        const { from, index, isGood } = each;
        const statement: Prepare = {
          kind: "Prepare",
          view: 0 as View,
          index: index as LogIndex,
          digest: "ab".repeat(32),
        };
        const signed = seal(from, statement, isGood);
        return track(from, isGood, (done) => gate.check({ kind: "Said", signed }, from, done));
      }
      case "proof": {
        const { from, index, bad } = each;
        const statement: Checkpoint = { kind: "Checkpoint", index: index as LogIndex, digest: "cd".repeat(32) };
        const checkpoints = ["a", "b", "c"].map((by, at) => seal(by, statement, at !== bad) as Signed<Checkpoint>);
        const certificate = { index: statement.index, digest: statement.digest, checkpoints };
        return track(from, bad === null, (done) => gate.check({ kind: "Stable", certificate }, from, done));
      }
      case "bundle": {
        const { from, number, isGood } = each;
        const request = encodeRequest({ kind: "resolve", session: 1 as never, number: number as never });
        const bundle = decodeBundle(
          sealBundle(domain.cluster, keys.signerOf(from), simHash, [request]),
          limits,
          simHash,
        );
        if (bundle === undefined) throw new Error("a client makes bundles that are read");
        const signature = isGood ? bundle.signature : new Uint8Array(64);
        return track(from, isGood, (done) => gate.checkBundle({ ...bundle, signature }, from, done));
      }
      case "forget": {
        gate.forget(each.from);
        // What was answered stays; nothing of before comes any more.
        expected.set(each.from, [...(passed.get(each.from) ?? [])]);
        return;
      }
      case "answer": {
        const [answer] = open.splice(each.which % Math.max(1, open.length), 1);
        return answer?.();
      }
    }
  };
  for (const each of steps) {
    perform(each);
    clock.endTurn();
    expect(open.length).toBeLessThanOrEqual(underWayCountMax);
  }
  for (let answer = open.shift(); answer !== undefined; answer = open.shift()) {
    answer();
    clock.endTurn();
  }
  return { expected, passed };
}

test("in the end each sender's good messages have passed, in its order, and nothing else", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 3 }),
      (steps, turnCountMax, underWayCountMax) => {
        const { expected, passed } = run(steps, turnCountMax, underWayCountMax);
        for (const from of ["b", "c", "d", "x", "y"]) expect(passed.get(from) ?? []).toEqual(expected.get(from) ?? []);
      },
    ),
    { numRuns: 400, seed: 20_261_128 },
  );
});
