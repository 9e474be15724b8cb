/** What no correct replica says is refused where it comes in, before anybody pays for a signature (hazards B6, B10, B22, B24). */
import { describe, expect, test } from "vitest";
import { ByteWriter } from "../../../src/base/bytes.js";
import type {
  Batch,
  BftMessage,
  CheckpointCertificate,
  NewView,
  Prepare,
  PreparedCertificate,
  Signed,
  Statement,
  ViewChange,
} from "../../../src/consensus/bft/messages.js";
import type { BftRecord } from "../../../src/consensus/bft/state.js";
import { counterMax, type LogIndex, type View } from "../../../src/model/ids.js";
import { byzantineQuorumOf } from "../../../src/model/membership.js";
import { nodeHash } from "../../../src/node/hash.js";
import { simHash } from "../../../src/sim/sim-hash.js";
import {
  decodeBftMessage,
  decodeBftRecord,
  encodeBftMessage,
  encodeBftRecord,
  type BftLimits,
} from "../../../src/wire/bft-codec.js";
import { newViewBytesMax } from "../../../src/wire/bft-statements.js";
import { batchOf } from "../../../src/wire/signed-batch.js";

const limits: BftLimits = { batchBytesMax: 2_000_000, batchRequestsMax: 8, replicaCount: 4, windowCount: 4 };
const digest = "ab".repeat(32);
const signature = new Uint8Array(64).fill(7);

const at = (index: number): LogIndex => index as LogIndex;
const inView = (view: number): View => view as View;
const signed = <Kind extends Statement>(statement: Kind, by = "a"): Signed<Kind> => ({ statement, by, signature });
const said = (statement: Statement, by = "a"): BftMessage => ({ kind: "Said", signed: signed(statement, by) });
const prepare = (view: number, index: number): Prepare => ({
  kind: "Prepare",
  view: inView(view),
  index: at(index),
  digest,
});
const prepared = (view: number, index: number, signers = ["a", "b", "c"]): PreparedCertificate => ({
  ...{ view: inView(view), index: at(index), digest },
  prepares: signers.map((by) => signed(prepare(view, index), by)),
});
const stable = (index: number, signers = ["a", "b", "c"]): CheckpointCertificate => ({
  ...{ index: at(index), digest },
  checkpoints: signers.map((by) => signed({ kind: "Checkpoint", index: at(index), digest }, by)),
});
const beginning: CheckpointCertificate = { index: at(0), digest: "", checkpoints: [] };
const viewChange = (parts: Partial<ViewChange> = {}): ViewChange => ({
  ...{ kind: "ViewChange", view: inView(5), stable: stable(8), prepared: [prepared(4, 9), prepared(2, 11)] },
  ...parts,
});
const newView = (parts: Partial<NewView> = {}): NewView => ({
  kind: "NewView",
  view: inView(5),
  viewChanges: ["a", "b", "c"].map((by) => signed(viewChange(), by)),
  proposals: [9, 10, 11].map((index) => ({ index: at(index), digest: index === 10 ? "" : digest })),
  ...parts,
});
const timeBatch = batchOf({ kind: "time", time: 5, payload: new Uint8Array(0) }, limits, nodeHash) as Batch;

const decoded = (message: BftMessage, within = limits): BftMessage | undefined =>
  decodeBftMessage(encodeBftMessage(message), within, nodeHash);
const taken = (message: BftMessage): void => expect(decoded(message)).toEqual(message);
const refused = (message: BftMessage): void => expect(decoded(message)).toBeUndefined();

describe("statements", () => {
  test("votes have an index from 1, and counters below 2^52", () => {
    taken(said(prepare(0, 1)));
    taken(said(prepare(counterMax - 1, counterMax - 1)));
    refused(said(prepare(0, 0)));
    refused(said(prepare(counterMax, 1)));
    refused(said(prepare(0, counterMax)));
    refused(said({ kind: "Checkpoint", index: at(counterMax), digest }));
  });

  test("a checkpoint is of a state: the null request's digest is none", () => {
    taken(said({ kind: "Checkpoint", index: at(8), digest }));
    refused(said({ kind: "Checkpoint", index: at(8), digest: "" }));
    taken(said({ ...prepare(1, 8), digest: "" }));
  });

  test("a signer has the name of a replica", () => {
    taken(said(prepare(0, 1), "x".repeat(32)));
    refused(said(prepare(0, 1), "x".repeat(33)));
    refused(said(prepare(0, 1), ""));
    refused(said(prepare(0, 1), "a/b"));
  });
});

describe("a view change", () => {
  test("is taken with what was prepared in earlier views between the water marks", () => {
    taken(said(viewChange()));
    taken(said(viewChange({ stable: beginning, prepared: [prepared(0, 1)] })));
    taken(said(viewChange({ stable: beginning, prepared: [] })));
  });

  test("leads to a view after the first", () => {
    refused(said(viewChange({ view: inView(0), prepared: [] })));
  });

  test("claims nothing of its own view or a later one", () => {
    refused(said(viewChange({ prepared: [prepared(5, 9)] })));
    refused(said(viewChange({ prepared: [prepared(1_000_000_000, 9)] })));
  });

  test("claims nothing outside of its window (hazard B10)", () => {
    taken(said(viewChange({ prepared: [prepared(4, 12)] })));
    refused(said(viewChange({ prepared: [prepared(4, 13)] })));
    refused(said(viewChange({ prepared: [prepared(4, 8)] })));
    refused(said(viewChange({ prepared: [prepared(4, 1_000_009)] })));
  });

  test("claims one thing for an index, in the order of indexes", () => {
    refused(said(viewChange({ prepared: [prepared(4, 9), prepared(3, 9)] })));
    refused(said(viewChange({ prepared: [prepared(4, 11), prepared(4, 9)] })));
  });

  test("shows a quorum of different signers, not one more or less", () => {
    taken(said(viewChange({ prepared: [prepared(4, 9, ["d", "b", "c"])] })));
    refused(said(viewChange({ prepared: [prepared(4, 9, ["a", "b", "c", "d"])] })));
    refused(said(viewChange({ prepared: [prepared(4, 9, ["a", "b"])] })));
    refused(said(viewChange({ prepared: [prepared(4, 9, ["a", "b", "b"])] })));
    refused(said(viewChange({ prepared: [prepared(4, 9, ["a", "b", "c", "d", "e"])] })));
    refused(said(viewChange({ prepared: [prepared(4, 9, [])] })));
    refused(said(viewChange({ stable: stable(8, ["a", "a", "b"]) })));
  });

  test("proves every stable checkpoint but that at which an epoch begins", () => {
    taken(said(viewChange({ stable: stable(8, []), prepared: [] })));
    refused({ kind: "Stable", certificate: stable(8, []) });
    refused(said(viewChange({ stable: stable(8, ["a"]), prepared: [] })));
    expect(() => encodeBftMessage(said(viewChange({ stable: stable(0), prepared: [] })))).toThrow("no proof");
  });
});

describe("a new view", () => {
  test("rests on view changes to it, one of each replica", () => {
    taken(said(newView()));
    refused(said(newView({ view: inView(6) })));
    refused(said(newView({ viewChanges: ["a", "b", "a"].map((by) => signed(viewChange(), by)) })));
    refused(said(newView({ viewChanges: ["a", "b", "c", "d"].map((by) => signed(viewChange(), by)) })));
  });

  test("proposes a window's worth at most", () => {
    const proposals = (count: number): NewView["proposals"] =>
      Array.from({ length: count }, (_, place) => ({ index: at(9 + place), digest }));
    taken(said(newView({ proposals: proposals(4) })));
    taken(said(newView({ proposals: [] })));
    refused(said(newView({ proposals: proposals(5) })));
    refused(said(newView({ proposals: [{ index: at(counterMax - 1), digest }] })));
  });

  test("of the longest kind is no longer than is said of it, and not much shorter", () => {
    for (const replicaCount of [4, 7, 10]) {
      const wide = { ...limits, replicaCount, windowCount: 40 };
      const names = Array.from({ length: byzantineQuorumOf(replicaCount) }, (_, at) => `${"r".repeat(30)}${10 + at}`);
      const high = counterMax - 1000;
      const proved = Array.from({ length: 40 }, (_, at) => prepared(high, high + 1 + at, names));
      const change = viewChange({ view: inView(high + 1), stable: stable(high, names), prepared: proved });
      const longest = newView({
        view: inView(high + 1),
        viewChanges: names.map((by) => signed(change, by)),
        proposals: proved.map(({ index }) => ({ index, digest })),
      });
      const { length } = encodeBftMessage(said(longest, names[0]));

      expect(decoded(said(longest, names[0]), wide)).toBeDefined();
      expect(length).toBeLessThanOrEqual(newViewBytesMax(wide));
      expect(length).toBeGreaterThan(0.95 * newViewBytesMax(wide));
    }
  });

  test("cannot propose with a gap", () => {
    const gap = newView({
      proposals: [
        { index: at(9), digest },
        { index: at(11), digest },
      ],
    });
    expect(() => encodeBftMessage(said(gap))).toThrow("without gaps");
  });
});

describe("messages", () => {
  test("a certificate of unequal statements cannot be said (hazards B2 and B8)", () => {
    const odd: PreparedCertificate = {
      ...prepared(4, 9),
      prepares: [signed(prepare(4, 9)), signed(prepare(3, 9), "b")],
    };
    expect(() => encodeBftMessage(said(viewChange({ prepared: [odd] })))).toThrow("equal statements");
  });

  test("a proof of the beginning is none", () => {
    taken({ kind: "Stable", certificate: stable(8) });
    refused({ kind: "Stable", certificate: beginning });
  });

  test("a decision is shown with its batch, whose digest is computed again", () => {
    const where = { view: inView(3), index: at(9), digest: timeBatch.digest };
    const commits = ["a", "b", "c"].map((by) => signed({ kind: "Commit" as const, ...where }, by));
    taken({ kind: "Committed", certificate: { ...where, commits }, batch: timeBatch });
    refused({ kind: "Committed", certificate: { ...where, commits: [] }, batch: timeBatch });
  });

  test("nobody fetches the null request", () => {
    const nullBatch = batchOf({ kind: "noop", time: 0, payload: new Uint8Array(0) }, limits, nodeHash) as Batch;
    expect(nullBatch.digest).toBe("");
    refused({ kind: "FetchBatch", digest: "" });
    refused({ kind: "FetchedBatch", batch: nullBatch });
    const statement = { ...prepare(1, 9), digest: "" };
    taken({ kind: "PrePrepare", prepare: signed(statement), batch: nullBatch });
  });

  test("a lie about a count costs nothing", () => {
    const writer = new ByteWriter();
    writer.u8(1); // Said
    writer.text("a");
    writer.raw(signature);
    writer.u8(4); // NewView
    writer.varint(5);
    writer.varint(2 ** 50);

    expect(decodeBftMessage(writer.finish(), limits, nodeHash)).toBeUndefined();
    const patient = { ...limits, replicaCount: 1.5 * 2 ** 50 };
    expect(decodeBftMessage(writer.finish(), patient, nodeHash)).toBeUndefined();
  });

  test("a batch beyond its limits is refused before it is hashed", () => {
    let hashed = 0;
    const counting = { ...nodeHash, sha256: (bytes: Uint8Array) => ((hashed += 1), nodeHash.sha256(bytes)) };
    const large: Batch = { ...timeBatch, proposal: { kind: "batch", time: 0, payload: new Uint8Array(100) } };
    const bytes = encodeBftMessage({ kind: "FetchedBatch", batch: large });

    expect(decodeBftMessage(bytes, { ...limits, batchBytesMax: 99 }, counting)).toBeUndefined();
    expect(hashed).toBe(0);
  });

  test("simulated and real replicas understand one another", () => {
    const message: BftMessage = { kind: "FetchedBatch", batch: timeBatch };

    expect(decodeBftMessage(encodeBftMessage(message), limits, simHash)).toEqual(message);
  });
});

describe("records", () => {
  const read = (record: BftRecord): BftRecord | undefined => decodeBftRecord(encodeBftRecord(record), limits, nodeHash);

  test("what a crash must not make a replica forget is read as it was written", () => {
    const records: readonly BftRecord[] = [
      { kind: "accepted", view: inView(3), index: at(9), batch: timeBatch },
      { kind: "batch", batch: timeBatch },
      { kind: "prepared", certificate: prepared(3, 9) },
      { kind: "viewChange", statement: viewChange() },
      { kind: "newView", statement: newView() },
      { kind: "entered", newView: signed(newView()) },
      { kind: "stable", certificate: stable(8) },
    ];

    expect(records.map(read)).toEqual(records);
  });

  test("what was never written is refused", () => {
    expect(read({ kind: "stable", certificate: beginning })).toBeUndefined();
    expect(read({ kind: "accepted", view: inView(3), index: at(0), batch: timeBatch })).toBeUndefined();
    expect(decodeBftRecord(Uint8Array.of(7), limits, nodeHash)).toBeUndefined();
    expect(decodeBftRecord(new Uint8Array(0), limits, nodeHash)).toBeUndefined();
  });
});
