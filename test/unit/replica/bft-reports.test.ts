/** Whoever reports much takes the place of nobody else's reports. */
import { expect, test } from "vitest";
import type { LogIndex } from "../../../src/model/ids.js";
import { BftReports, type BftReportsParts } from "../../../src/replica/bft-reports.js";
import { decodeReports, encodeSignedReport, type SaidReport } from "../../../src/wire/signed-report.js";
import { encodeOffer } from "../../../src/wire/version-codec.js";

const offer = (replica: string, version = 1): SaidReport => ({
  executed: 1 as LogIndex,
  report: encodeOffer({ replica, incarnation: 1, versions: [version] }),
});
const sealed = (said: SaidReport): Uint8Array => encodeSignedReport({ ...said, signature: new Uint8Array(64) });

function reportsOf(parts: Partial<BftReportsParts> = {}): {
  reports: BftReports;
  malformed: string[];
  sent: Uint8Array[];
  verified: { readonly count: number };
} {
  const malformed: string[] = [];
  const sent: Uint8Array[] = [];
  const verified = { count: 0 };
  const reports = new BftReports({
    seal: {
      sealReport: sealed,
      checkReport: (_report, _from, done) => {
        verified.count += 1;
        done();
      },
      malformed: (from) => void malformed.push(from),
    },
    payloadBytesMax: 100_000,
    isPrimary: () => true,
    toPrimary: (bytes) => void sent.push(bytes),
    again: () => {},
    ...parts,
  });
  return { reports, malformed, sent, verified };
}

function signers(payload: Uint8Array | undefined): string {
  return payload === undefined ? "nothing" : (decodeReports(payload) ?? []).map(({ by }) => by).join("");
}

test("a flood of one replica leaves room for one of each other in every entry, and 200 ms of reports are one entry", () => {
  const { reports, verified } = reportsOf();
  for (let version = 1; version <= 1_000; version += 1) reports.hear("d", sealed(offer("d", version)));
  for (const id of "bc") reports.hear(id, sealed(offer(id)));
  reports.say(offer("a"));

  expect([0, 199, 200].map((now) => signers(reports.next(now)))).toEqual(["nothing", "nothing", "dbcaddd"]);
  for (let version = 1; version <= 1_000; version += 1) reports.hear("d", sealed(offer("d", version)));
  expect([201, 400, 401, 1_000].map((now) => signers(reports.next(now)))).toEqual([
    "nothing",
    "nothing",
    "dddd",
    "nothing",
  ]);
  expect(verified.count).toBe(4 + 2 + 4);
});

test("an entry that is full takes the rest later, those first who have waited longest", () => {
  const { reports } = reportsOf({ payloadBytesMax: 3 * sealed(offer("a")).length + 16 });
  for (let version = 1; version <= 3; version += 1) reports.hear("d", sealed(offer("d", version)));
  for (const id of "abc") reports.hear(id, sealed(offer(id)));

  const entries = [0, 200, 250, 450, 1_000].map((now) => signers(reports.next(now)));
  expect(entries).toEqual(["nothing", "dab", "nothing", "cdd", "nothing"]);
});

test("nobody brings another's, and what has no form costs its sender", () => {
  const { reports, malformed } = reportsOf();
  reports.hear("d", sealed(offer("a")));
  reports.hear("d", new Uint8Array(90));

  expect([malformed, ...[0, 200].map((now) => signers(reports.next(now)))]).toEqual([["d", "d"], "nothing", "nothing"]);
});

test("of a view that is over nothing is ordered; who is no primary holds nothing, and sends its own to whoever is", () => {
  let isPrimary = true;
  const { reports, sent } = reportsOf({ isPrimary: () => isPrimary });
  reports.hear("b", sealed(offer("b")));
  reports.restart();
  expect([0, 200].map((now) => signers(reports.next(now)))).toEqual(["nothing", "nothing"]);

  isPrimary = false;
  reports.hear("b", sealed(offer("b")));
  reports.say(offer("a"));
  isPrimary = true;
  expect([...[400, 600].map((now) => signers(reports.next(now))), sent.length]).toEqual(["nothing", "nothing", 1]);
});
