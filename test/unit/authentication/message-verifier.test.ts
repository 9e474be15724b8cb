/** Only what is signed by whom it says comes through, and whoever sends anything else harms itself alone (hazards B6, B13, B23, B24). */
import { describe, expect, test } from "vitest";
import { Sealer, sealBundle, sealReport } from "../../../src/authentication/sealer.js";
import {
  MessageVerifier,
  verifierDefaults,
  type VerifierSettings,
} from "../../../src/authentication/message-verifier.js";
import type { BftMessage, Checkpoint, Prepare, Signed, Statement } from "../../../src/consensus/bft/messages.js";
import type { LogIndex, View } from "../../../src/model/ids.js";
import type { Claim, SignatureVerifier, Signer } from "../../../src/ports/signatures.js";
import { simHash } from "../../../src/sim/sim-hash.js";
import { SimKeys } from "../../../src/sim/sim-signatures.js";
import { encodeRequest } from "../../../src/wire/request-codec.js";
import { batchOf, decodeBundle, encodeBundles, type Bundle } from "../../../src/wire/signed-batch.js";
import { decodeSignedReport, encodeReports, type SaidReport } from "../../../src/wire/signed-report.js";
import { encodeOffer } from "../../../src/wire/version-codec.js";
import { ManualClock } from "../../../test-support/manual-clock.js";

const members = ["a", "b", "c", "d"];
const domain = { cluster: "main", epoch: 3 };
const limits = { batchBytesMax: 2_000_000, batchRequestsMax: 100 };
const digest = "ab".repeat(32);
const settings: VerifierSettings = {
  ...verifierDefaults,
  credit: { burst: 4, perSecond: 2 },
  waitingCountMax: 100,
  turnCountMax: 4,
  knownCountMax: 64,
};

const prepare = (index: number, view = 0): Prepare => ({
  ...{ kind: "Prepare", view: view as View, index: index as LogIndex, digest },
});
const checkpoint = (index: number): Checkpoint => ({ kind: "Checkpoint", index: index as LogIndex, digest });
const said = (signed: Signed): BftMessage => ({ kind: "Said", signed });

/** One replica's gate, and everybody's keys. `work` counts the signatures that were verified for each who sent them. */
class World {
  readonly clock = new ManualClock();
  readonly keys = new SimKeys();
  readonly passed: string[] = [];
  readonly turns: number[] = [];
  readonly gate: MessageVerifier;

  constructor(options: Partial<VerifierSettings> = {}) {
    const inner = this.keys.verifierOn(this.clock);
    const verifier: SignatureVerifier = {
      verify: (claims: readonly Claim[], done) => {
        this.turns.push(claims.length);
        inner.verify(claims, done);
      },
    };
    this.gate = new MessageVerifier({
      ...{ domain, hash: simHash, clock: this.clock, verifier, settings: { ...settings, ...options } },
      keys: new Map(members.map((id) => [id, this.signer(id).publicKey])),
    });
  }

  signer(name: string): Signer {
    return this.keys.signerOf(name);
  }

  seal(by: string, statement: Statement, where = domain): Signed {
    return new Sealer(where, by, this.signer(by)).seal(statement);
  }

  /** What comes from `from`, as it comes from a link. */
  send(message: BftMessage, from: string, name = from): this {
    if (this.gate.isOpenTo(from)) this.gate.check(message, from, () => this.passed.push(name));
    return this;
  }

  bundle(client: string, number = 1, where = domain.cluster): Bundle {
    const request = encodeRequest({
      ...{ kind: "command", session: 1 as never, number: number as never, acknowledgedBelow: 1 as never, name: "add" },
      ...{ input: new Uint8Array(2), idempotency: undefined },
    });
    const bytes = sealBundle(where, this.signer(client), simHash, [request]);
    const bundle = decodeBundle(bytes, limits, simHash);
    if (bundle === undefined) throw new Error("a client makes bundles that are read");
    return bundle;
  }

  prePrepare(by: string, ...bundles: readonly Bundle[]): BftMessage {
    const payload = encodeBundles(
      bundles.map(({ key, signature, requests }) => {
        const head = [...signature, ...key, requests.length];
        return Uint8Array.from([...head, ...requests.flatMap((request) => [request.length, ...request])]);
      }),
    );
    const batch = batchOf({ kind: "batch", time: 1, payload }, limits, simHash);
    if (batch === undefined) throw new Error("bundles make a batch");
    return {
      kind: "PrePrepare",
      prepare: this.seal(by, { ...prepare(1), digest: batch.digest }) as Signed<Prepare>,
      batch,
    };
  }

  settle(): this {
    this.clock.endTurn();
    return this;
  }
}

describe("what comes through", () => {
  test("is signed by whom it says; unsigned messages pass at once", () => {
    const world = new World();
    world.send(said(world.seal("b", prepare(1))), "b").send({ kind: "FetchBatch", digest }, "c", "fetch");
    expect(world.passed).toEqual(["fetch"]);

    expect(world.settle().passed).toEqual(["fetch", "b"]);
    expect(world.gate.counters).toMatchObject({ signatures: 1, wronglySigned: 0 });
  });

  test("is not what somebody else signed in another's name", () => {
    const world = new World();
    const forged = { ...world.seal("d", prepare(1)), by: "b" };

    expect(world.send(said(forged), "d").settle().passed).toEqual([]);
    expect(world.gate.counters.wronglySigned).toBe(1);
  });

  test("is of this cluster, and of this epoch of its members (hazards B6 and B23)", () => {
    const world = new World();
    const elsewhere = world.seal("b", prepare(1), { cluster: "other", epoch: 3 });
    const before = world.seal("b", prepare(1), { cluster: "main", epoch: 2 });
    world.send(said(elsewhere), "b").settle();
    world.send(said(before), "b").settle();

    expect(world.passed).toEqual([]);
    expect(world.gate.counters.wronglySigned).toBe(2);
  });

  test("is the statement that was signed: no other kind, view, index or digest", () => {
    const world = new World({ credit: { burst: 10, perSecond: 1 } });
    const { signature, by } = world.seal("b", prepare(5, 2));
    const others: readonly Statement[] = [
      { ...prepare(5, 2), kind: "Commit" },
      prepare(5, 3),
      prepare(6, 2),
      { ...prepare(5, 2), digest: "ac".repeat(32) },
      { ...prepare(5, 2), digest: "" },
      checkpoint(5),
    ];
    for (const statement of others) world.send(said({ statement, signature, by }), "b").settle();

    expect(world.passed).toEqual([]);
    expect(world.gate.counters.wronglySigned).toBe(others.length);
  });

  test("is said by members only, and comes from members only", () => {
    const world = new World();
    world.send(said(world.seal("x", prepare(1))), "b").settle();
    world.send(said(world.seal("b", prepare(1))), "x").settle();

    expect(world.passed).toEqual([]);
    expect(world.gate.counters).toMatchObject({ stranger: 2, signatures: 0 });
  });

  test("is good in each part: a certificate with one bad signature is worth nothing (hazard B5)", () => {
    const world = new World();
    const votes = ["a", "b", "c"].map((by) => world.seal(by, checkpoint(8)) as Signed<Checkpoint>);
    const stable = (checkpoints: readonly Signed<Checkpoint>[]): BftMessage => ({
      kind: "Stable",
      certificate: { index: 8 as LogIndex, digest, checkpoints },
    });
    world.send(
      stable([...votes.slice(0, 2), { ...world.seal("d", checkpoint(8)), by: "c" } as Signed<Checkpoint>]),
      "d",
    );
    expect(world.settle().passed).toEqual([]);

    expect(world.send(stable(votes), "b").settle().passed).toEqual(["b"]);
  });

  test("comes in the order in which one sender sent it, however much each part takes", () => {
    const world = new World();
    const many: BftMessage = {
      kind: "Stable",
      certificate: {
        ...{ index: 8 as LogIndex, digest },
        checkpoints: ["a", "b", "c"].map((by) => world.seal(by, checkpoint(8)) as Signed<Checkpoint>),
      },
    };
    world.send(many, "b", "first").send(said(world.seal("b", prepare(1))), "b", "second");
    world.send({ kind: "FetchBatch", digest }, "b", "third");

    expect(world.settle().passed).toEqual(["first", "second", "third"]);
  });
});

describe("clients", () => {
  test("a batch comes through if each of its bundles is signed by its client, for this cluster (hazard B13)", () => {
    const world = new World();
    world.send(world.prePrepare("b", world.bundle("x"), world.bundle("y")), "b", "good").settle();
    world.send(world.prePrepare("b", world.bundle("x"), world.bundle("y", 2, "other")), "b", "elsewhere").settle();
    const stolen = { ...world.bundle("x", 3), key: world.signer("y").publicKey };
    world.send(world.prePrepare("b", stolen), "b", "stolen").settle();

    expect(world.passed).toEqual(["good"]);
  });

  test("what a client asked here needs not be verified again when it is proposed", () => {
    const world = new World();
    const bundle = world.bundle("x");
    let name: string | undefined;
    world.gate.checkBundle(bundle, "connection 1", () => (name = bundle.name.client));
    world.settle();
    expect(name).toBe(bundle.name.client);
    const before = world.gate.counters.signatures;

    world.send(world.prePrepare("b", bundle), "b").settle();
    // The primary's own.
    expect(world.gate.counters.signatures - before).toBe(1);
  });

  test("a client that signs wrongly is not looked at for a while; others are", () => {
    const world = new World();
    const bad = { ...world.bundle("x"), signature: new Uint8Array(64) };
    let good = 0;
    for (let count = 0; count < 1000; count += 1) {
      world.gate.checkBundle(bad, "connection 1", () => (good += 1_000_000));
      world.gate.checkBundle(world.bundle("y", count + 1), "connection 2", () => (good += 1));
      world.settle();
    }

    expect(good).toBe(1000);
    expect(world.gate.counters).toMatchObject({ wronglySigned: 4, overBudget: 996 });
  });

  test("a connection that was closed is not answered", () => {
    const world = new World();
    let isAnswered = false;
    world.gate.checkBundle(world.bundle("x"), "connection 1", () => (isAnswered = true));
    world.gate.forget("connection 1");
    world.settle();

    expect(isAnswered).toBe(false);
  });
});

describe("a flood (hazard B24)", () => {
  const bad = (world: World, index: number): BftMessage =>
    said({ statement: prepare(index), by: "d", signature: world.signer("x").sign(Uint8Array.of(index)) });

  test("of bad signatures costs its budget; nobody else waits longer, and its sender is heard again later", () => {
    const world = new World();
    for (let index = 1; index <= 50_000; index += 1) {
      world.send(bad(world, 1), "d");
      if (index % 1000 === 0) {
        world.send(said(world.seal("b", prepare(index))), "b").settle();
        world.clock.advance(20);
      }
    }
    // In one second: what it may at once, and two more.
    expect(world.gate.counters.wronglySigned).toBeLessThanOrEqual(6);
    expect(world.passed.filter((name) => name === "b")).toHaveLength(50);

    world.clock.advance(1000);
    expect(world.send(said(world.seal("d", prepare(1))), "d").settle().passed).toContain("d");
  });

  test("that came at once is thrown away when the budget is gone", () => {
    const world = new World();
    for (let index = 1; index <= 90; index += 1) world.send(bad(world, index), "d");
    world.settle();

    // The fifth was in the same turn as the fourth.
    expect(world.gate.counters).toMatchObject({ wronglySigned: 4, overBudget: 86, signatures: 5 });
  });

  test("of bytes that are no messages costs the same budget", () => {
    const world = new World();
    for (let count = 0; count < 10; count += 1) if (world.gate.isOpenTo("d")) world.gate.malformed("d");

    expect(world.gate.counters).toMatchObject({ malformed: 4, overBudget: 6 });
    expect(world.gate.isOpenTo("b")).toBe(true);
  });

  test("of good signatures takes its own turns only, and its queue has an end", () => {
    const world = new World({ underWayCountMax: 1 });
    for (let index = 1; index <= 200; index += 1) world.send(said(world.seal("d", prepare(index))), "d");
    world.send(said(world.seal("b", prepare(1))), "b");
    world.gate.checkBundle(world.bundle("x"), "connection 1", () => world.passed.push("client"));
    world.settle();

    // Behind what was under way when they came, and in turn with the flood.
    expect(world.passed.indexOf("b")).toBeLessThanOrEqual(2);
    expect(world.passed.indexOf("client")).toBeLessThanOrEqual(3);
    expect(world.gate.counters.queueFull).toBe(100);
  });

  test("of good messages said again and again is not looked at for long, although each is known", () => {
    const world = new World({ work: { burst: 12, perSecond: 6 } });
    const checkpoints = ["a", "b", "c"].map((by) => world.seal(by, checkpoint(8)) as Signed<Checkpoint>);
    const proof: BftMessage = { kind: "Stable", certificate: { index: 8 as LogIndex, digest, checkpoints } };
    for (let count = 0; count < 1000; count += 1) world.send(proof, "d").settle();
    expect(world.passed).toHaveLength(4);
    expect(world.gate.counters).toMatchObject({ overBudget: 996, signatures: 3 });

    expect(world.send(proof, "b").settle().passed).toHaveLength(5);
    world.clock.advance(1000);
    expect(world.send(proof, "d").settle().passed).toHaveLength(6);
  });

  test("of clients takes half of the turns at most", () => {
    const world = new World({ underWayCountMax: 1 });
    for (let client = 1; client <= 50; client += 1) {
      world.gate.checkBundle(world.bundle("x", client), `connection ${client}`, () => world.passed.push("client"));
    }
    for (const by of ["b", "c", "d"]) world.send(said(world.seal(by, prepare(1))), by);
    world.settle();

    expect(world.passed.lastIndexOf("d")).toBeLessThanOrEqual(7);
    expect(world.passed).toHaveLength(53);
  });

  test("no turn is longer than its bound, however many signatures a message has", () => {
    const world = new World();
    const bundles = Array.from({ length: 10 }, (_, at) => world.bundle(`client ${at}`));
    world.send(world.prePrepare("b", ...bundles), "b").settle();

    expect(world.passed).toEqual(["b"]);
    expect(world.turns).toEqual([4, 4, 3]);
  });
});

describe("messages that come together", () => {
  test("and were answered take no room in the queue any more", () => {
    const world = new World();
    for (let round = 0; round < 100; round += 1) {
      for (let at = 1; at <= 3; at += 1) world.send(said(world.seal("b", prepare(3 * round + at))), "b");
      world.settle();
    }

    expect(world.passed).toHaveLength(300);
    expect(world.gate.counters.queueFull).toBe(0);
  });

  test("share a turn, and a bad one among them is refused alone", () => {
    const world = new World({ turnCountMax: 16, underWayCountMax: 1 });
    world.send(said(world.seal("c", prepare(1))), "c");
    for (let index = 1; index <= 4; index += 1) {
      const signed = world.seal("b", prepare(index));
      const isBad = index === 2;
      world.send(said(isBad ? { ...signed, signature: new Uint8Array(64) } : signed), "b", `b${index}`);
    }
    world.settle();

    expect(world.turns).toEqual([1, 4]);
    expect(world.passed).toEqual(["c", "b1", "b3", "b4"]);
    expect(world.gate.counters.wronglySigned).toBe(1);
  });

  test("are answered one by one, also if an answer closes the connection", () => {
    const world = new World({ turnCountMax: 16, underWayCountMax: 1 });
    const answered: number[] = [];
    for (let number = 1; number <= 4; number += 1) {
      world.gate.checkBundle(world.bundle("x", number), "connection 1", () => {
        answered.push(number);
        if (number === 1) world.gate.forget("connection 1");
      });
    }
    world.settle();

    expect(answered).toEqual([1]);
  });
});

describe("what is known", () => {
  test("the same signature is verified once, whoever shows it", () => {
    const world = new World();
    const signed = world.seal("b", checkpoint(8));
    world.send(said(signed), "b").settle();
    world.send(said(signed), "c").send(said(signed), "d").settle();

    expect(world.passed).toEqual(["b", "c", "d"]);
    expect(world.gate.counters).toMatchObject({ signatures: 1, known: 2 });
  });

  test("another signature under the same statement is verified for itself", () => {
    const world = new World();
    const signed = world.seal("b", checkpoint(8));
    world.send(said(signed), "b").settle();
    const other = { ...signed, signature: new Uint8Array(64) };

    expect(world.send(said(other), "d").settle().passed).toEqual(["b"]);
  });

  test("what was signed here is not verified when it comes back", () => {
    const world = new World();
    const own = world.seal("a", checkpoint(8));
    world.gate.trust(own);

    expect(world.send(said(own), "d").passed).toEqual(["d"]);
    expect(world.gate.counters.signatures).toBe(0);
  });

  test("a signer pushes out what is known of itself alone", () => {
    const world = new World();
    const kept = world.seal("b", checkpoint(8));
    world.send(said(kept), "b").settle();
    for (let index = 1; index <= 200; index += 1) world.send(said(world.seal("d", prepare(index))), "d").settle();
    const before = world.gate.counters.signatures;

    world.send(said(kept), "c").settle();
    expect(world.gate.counters.signatures).toBe(before);
    world.send(said(world.seal("d", prepare(1))), "d").settle();
    expect(world.gate.counters.signatures).toBe(before + 1);
  });
});

test("a simulated signature cannot be made without its signer, and twins have the same key (hazard B20)", () => {
  const world = new World();
  const one = world.signer("a");
  const twin = world.signer("a");

  expect(twin.publicKey).toEqual(one.publicKey);
  expect(twin.sign(Uint8Array.of(1))).toEqual(one.sign(Uint8Array.of(1)));
  expect(world.signer("b").sign(Uint8Array.of(1))).not.toEqual(one.sign(Uint8Array.of(1)));
  expect(new SimKeys().signerOf("a").publicKey).toEqual(one.publicKey);
});

describe("what a replica reports", () => {
  const offer: SaidReport = {
    executed: 9 as LogIndex,
    report: encodeOffer({ replica: "b", incarnation: 1, versions: [1] }),
  };

  test.each([
    ["b", domain, true],
    ["a", domain, false],
    ["b", { ...domain, cluster: "other" }, false],
    ["b", { ...domain, epoch: 2 }, false],
  ])("is good as signed by the replica that it names, in this cluster and epoch: by %s in %j", (by, where, isGood) => {
    const world = new World();
    const bytes = sealReport(where, world.signer(by), offer);
    const report = decodeSignedReport(bytes);
    const batch = batchOf({ kind: "report", time: 1, payload: encodeReports([bytes]) }, limits, simHash);
    if (report === undefined || batch === undefined) throw new Error("a replica makes reports that are read");
    world.gate.checkReport(report, "c", () => world.passed.push("report"));
    const signed = world.seal("a", { ...prepare(1), digest: batch.digest });
    world.send({ kind: "PrePrepare", prepare: signed as Signed<Prepare>, batch }, "a", "batch");
    world.clock.advance(100);

    expect(world.passed.sort()).toEqual(isGood ? ["batch", "report"] : []);
    expect(world.gate.counters.wronglySigned).toBe(isGood ? 0 : 2);
  });

  test("by no member is a stranger's", () => {
    const world = new World();
    const report = encodeOffer({ replica: "x", incarnation: 1, versions: [1] });
    const decoded = decodeSignedReport(sealReport(domain, world.signer("x"), { ...offer, report }));
    if (decoded === undefined) throw new Error("a replica makes reports that are read");
    world.gate.checkReport(decoded, "c", () => world.passed.push("report"));
    world.clock.advance(100);

    expect([world.passed, world.gate.counters.stranger]).toEqual([[], 1]);
  });
});
