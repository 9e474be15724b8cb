/** A report of a replica means the same to every replica, or nothing to any. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { noIndex, type LogIndex } from "../../../src/model/ids.js";
import { encodeAuditReport } from "../../../src/wire/audit-codec.js";
import { encodeReport } from "../../../src/wire/checkpoint-codec.js";
import { batchOf } from "../../../src/wire/signed-batch.js";
import {
  decodePlainReports,
  decodeReports,
  decodeSignedReport,
  encodeReports,
  encodeSignedReport,
  plainReports,
} from "../../../src/wire/signed-report.js";
import { encodeSkipReport } from "../../../src/wire/skip-codec.js";
import { encodeOffer, encodeVersionChange } from "../../../src/wire/version-codec.js";
import { simHash } from "../../../src/sim/sim-hash.js";

const at = (index: number): LogIndex => index as LogIndex;
const members = { voterSets: [["a", "b"]], executing: ["a", "b"] };
const offer = encodeOffer({ replica: "a", incarnation: 1, versions: [1, 2] });
const skip = encodeSkipReport({
  ...{ replica: "b", incarnation: 1, reason: "stack", members },
  at: { index: at(9), step: 2 },
});
const audit = encodeAuditReport({
  ...{ replica: "c", incarnation: 1, members },
  positions: [{ index: at(7), output: { high: -1, low: 2 }, state: { high: 3, low: -4 } }],
});
const signature = new Uint8Array(64).fill(5);
const signed = (report: Uint8Array, executed = 300): Uint8Array =>
  encodeSignedReport({ signature, executed: at(executed), report });
const limits = { batchBytesMax: 100_000, batchRequestsMax: 10 };
const batch = (payload: Uint8Array, kind: "report" | "version" = "report"): unknown =>
  batchOf({ kind, time: 1, payload }, limits, simHash);

test("comes back as it was said, and by whom it names", () => {
  const reports = [offer, skip, audit].map((report) => signed(report));
  const decoded = decodeReports(encodeReports(reports)) ?? [];

  expect(decoded.map(({ by, executed }) => [by, executed])).toEqual([
    ["a", 300],
    ["b", 300],
    ["c", 300],
  ]);
  expect(decoded.map(({ report }) => [...report])).toEqual([offer, skip, audit].map((report) => [...report]));
  expect(decodePlainReports(plainReports(decoded))?.map(({ report }) => report.length)).toEqual(
    [offer, skip, audit].map(({ length }) => length),
  );
  expect(batch(encodeReports(reports))).toMatchObject({ requests: [] });
});

test("is none if it says something of a checkpoint, has another form, or too much in it", () => {
  const root = new Uint8Array(32);
  const checkpoint = encodeReport({ replica: "a", incarnation: 1, index: at(4), root, bytes: 1, voters: ["a"] });
  const manyVersions = Array.from({ length: 300 }, (_, version) => version + 1);
  const positions = Array.from({ length: 2_000 }, (_, index) => ({
    ...{ index: at(index + 1), output: { high: 0, low: 0 }, state: { high: 0, low: 0 } },
  }));
  const refused = [
    checkpoint,
    encodeOffer({ replica: "a", incarnation: 1, versions: manyVersions }),
    encodeOffer({ replica: "no replica", incarnation: 1, versions: [1] }),
    encodeAuditReport({ replica: "a", incarnation: 1, members, positions }),
    Uint8Array.from([...offer, 0]),
    offer.subarray(0, -1),
    new Uint8Array(0),
  ];
  for (const report of refused) {
    expect(decodeSignedReport(signed(report))).toBeUndefined();
    expect(batch(encodeReports([signed(offer), signed(report)]))).toBeUndefined();
  }
  for (const payload of [new Uint8Array(0), Uint8Array.from([1, 0]), Uint8Array.from([1, 200, 2]), offer]) {
    expect(batch(payload)).toBeUndefined();
  }
});

test("a version starts by an entry that nobody signs, and none says with which a log begins", () => {
  const start = { kind: "start", from: 1, version: 2, configuration: noIndex, members: ["a"] } as const;
  expect(batch(encodeVersionChange(start), "version")).toMatchObject({ requests: [] });
  expect(batch(encodeVersionChange({ kind: "begin", version: 2 }), "version")).toBeUndefined();
  expect(batch(offer, "version")).toBeUndefined();
});

test("no foreign bytes make the decoder throw, and what it takes has one form", () => {
  const reports = fc.constantFrom(offer, skip, audit);
  const changed = fc
    .tuple(reports, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }))
    .map(([report, changes]) => {
      const bytes = signed(report.slice());
      for (const [place, value] of changes) bytes[64 + (place % (bytes.length - 64))] = value;
      return bytes;
    });
  fc.assert(
    fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      const decoded = decodeSignedReport(bytes);
      if (decoded !== undefined) expect(encodeSignedReport(decoded)).toEqual(bytes);
      decodeReports(bytes);
      decodePlainReports(bytes);
    }),
    { numRuns: 2_000 },
  );
});
