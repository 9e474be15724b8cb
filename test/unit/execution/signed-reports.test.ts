/** Under Byzantine faults a report counts as said by its signer alone, whoever orders it, and however often. */
import { describe, expect, test } from "vitest";
import { noFingerprint } from "../../../src/base/fingerprint.js";
import { doAll } from "../../../src/base/steps.js";
import { framesOf, installFrames } from "../../../src/execution/checkpoint-frames.js";
import { Executor } from "../../../src/execution/executor.js";
import { noIndex, type LogIndex } from "../../../src/model/ids.js";
import type { AuditReport } from "../../../src/model/audit.js";
import { byzantineRules } from "../../../src/model/report-rules.js";
import type { SkipReport } from "../../../src/model/skip.js";
import type { VersionChange } from "../../../src/model/version.js";
import { nodeHash } from "../../../src/node/hash.js";
import { encodeAuditReport } from "../../../src/wire/audit-codec.js";
import { encodeReport } from "../../../src/wire/checkpoint-codec.js";
import { plainReports } from "../../../src/wire/signed-report.js";
import { encodeSkipReport } from "../../../src/wire/skip-codec.js";
import { encodeOffer, encodeVersionChange } from "../../../src/wire/version-codec.js";
import { limitsWith, rawEntry } from "../../../test-support/order.js";
import { bankV2 } from "../../../test-support/versioned-bank.js";

const at = (index: number): LogIndex => index as LogIndex;
const members = (ids: string): readonly { id: string; role: "voter"; incarnation: number; peer: ""; client: "" }[] =>
  [...ids].map((id) => ({ id, role: "voter", incarnation: 1, peer: "", client: "" }));
/** Of whoever says that there is nobody else. */
const alone = (...ids: string[]): AuditReport["members"] => ({ voterSets: [ids], executing: ids });

class Ordered {
  executor: Executor;
  #time = 0;

  constructor(ids = "abcd") {
    this.executor = this.#newExecutor(ids);
  }

  entry(kind: "report" | "version" | "batch" | "time", payload: Uint8Array = new Uint8Array(0)): this {
    this.#time += 1;
    this.executor.execute(rawEntry(this.executor.executedIndex + 1, this.#time, { kind, payload }));
    return this;
  }

  pass(milliseconds: number): this {
    this.#time += milliseconds;
    return this;
  }

  /** Made when so much was executed: all that is there, if nothing is said. */
  says(report: Uint8Array, executed: LogIndex = this.executor.executedIndex): this {
    return this.entry("report", plainReports([{ executed, report }]));
  }

  offers(replica: string, versions: readonly number[], executed?: LogIndex): this {
    return this.says(encodeOffer({ replica, incarnation: 1, versions }), executed);
  }

  change(change: VersionChange): this {
    return this.entry("version", encodeVersionChange(change));
  }

  skips(replica: string, more: Partial<SkipReport> = {}): this {
    const step = { index: at(1_000), step: 0 };
    const said = { replica, incarnation: 1, at: step, reason: "stack", members: alone(replica), ...more } as const;
    return this.says(encodeSkipReport(said));
  }

  get isSkipped(): boolean {
    return this.executor.reports.skips.isSkipped({ index: at(1_000), step: 0 });
  }

  get active(): number {
    return this.executor.versions.state.active;
  }

  /** As from a checkpoint. */
  restored(ids = "abcd"): this {
    const executor = this.#newExecutor(ids);
    const fork = this.executor.fork();
    expect(doAll(installFrames(executor, { index: fork.index, time: fork.time }, framesOf(fork)))).toBeUndefined();
    expect(executor.digest()).toEqual(this.executor.digest());
    fork.release();
    this.executor = executor;
    return this;
  }

  #newExecutor(ids: string): Executor {
    const founders = { members: members(ids) };
    const reportRules = byzantineRules;
    return new Executor({
      machine: bankV2,
      hash: nodeHash,
      limits: limitsWith({ audit: { everyMs: 1_000 } }),
      founders,
      reportRules,
    });
  }
}

const start = (...ids: string[]): VersionChange => ({
  ...{ kind: "start", from: 1, version: 2, configuration: noIndex },
  members: ids,
});

describe("a version starts", () => {
  test("once all members offer it, whatever a primary says who must", () => {
    const order = new Ordered().entry("time");
    for (const id of "abc") order.offers(id, [1, 2]);
    for (const ids of [[], ["a"], ["a", "b", "c"], ["a", "b", "c", "c"], ["a", "b", "c", "e"]]) {
      expect(order.change(start(...ids)).active).toBe(1);
    }
    expect(order.change(start("a", "b", "c", "d")).active).toBe(1);
    expect(order.offers("d", [1, 2]).change(start("a", "b", "c")).active).toBe(1);
    expect(order.change(start("a", "b", "c", "d")).active).toBe(2);
  });

  test("never by an entry that says a log begins with it", () => {
    const order = new Ordered().change({ kind: "begin", version: 7 }).entry("time");
    expect([order.active, order.executor.broken]).toEqual([1, undefined]);
  });

  test("not by an offer that its replica has taken back, and somebody repeats", () => {
    const order = new Ordered().entry("time");
    for (const id of "abc") order.offers(id, [1, 2]);
    const before = order.executor.executedIndex;
    order.offers("d", [1, 2]).offers("d", [1]);

    expect(
      order
        .restored()
        .offers("d", [1, 2], before)
        .change(start("a", "b", "c", "d")).active,
    ).toBe(1);
    expect(order.offers("d", [1, 2]).change(start("a", "b", "c", "d")).active).toBe(2);
  });

  test("not by what strangers and other disks offer", () => {
    const order = new Ordered().entry("time");
    for (const id of "abc") order.offers(id, [1, 2]);
    order.says(encodeOffer({ replica: "d", incarnation: 2, versions: [1, 2] })).offers("x", [1, 2]);

    expect(order.change(start("a", "b", "c", "d")).active).toBe(1);
    expect(order.executor.versions.state.offers.map(({ replica }) => replica)).toEqual(["a", "b", "c"]);
  });
});

describe("a step is skipped", () => {
  test("once a quorum has reported it, whoever they say the members are", () => {
    const order = new Ordered("abcdefg").entry("time");
    for (const id of "abcd") expect(order.skips(id).skips(id).isSkipped).toBe(false);
    expect(order.skips("x").skips("e", { incarnation: 9 }).isSkipped).toBe(false);
    expect(order.restored("abcdefg").skips("e").isSkipped).toBe(true);
  });

  test("not by reports of different steps", () => {
    const order = new Ordered();
    for (const [step, id] of [..."abcd"].entries()) order.skips(id, { at: { index: at(1_000), step: step % 2 } });
    expect(order.isSkipped).toBe(false);
  });
});

test("no report certifies a checkpoint, and what has no form changes nothing", () => {
  const order = new Ordered();
  const root = new Uint8Array(32).fill(1);
  const before = order.entry("time").executor.reports.encode();
  for (const id of "abcd") {
    order.says(encodeReport({ replica: id, incarnation: 1, index: at(1), root, bytes: 1, voters: [id] }));
  }
  order.says(Uint8Array.from([9, 9]));

  expect([order.executor.reports.encode(), order.executor.broken]).toEqual([before, undefined]);
});

test("who are the members is not a matter of reports: two that say they are all settle nothing", () => {
  const order = new Ordered("abcdefg");
  // A position: each version's start is one, and so is what is asked for.
  const empty = { replica: "a", incarnation: 1, members: alone("a", "b"), positions: [] };
  for (let count = 0; count < 3; count += 1) order.says(encodeAuditReport(empty)).entry("time");
  const { table } = order.executor.audits;
  order.pass(2_000).entry("time");
  const index = table.state.open[0]?.index;
  expect(index).toBeDefined();
  for (const replica of ["a", "b"]) {
    const positions = [{ index: index ?? noIndex, output: noFingerprint, state: noFingerprint }];
    order.says(encodeAuditReport({ ...empty, replica, positions }));
  }

  expect(table.state.open[0]).toMatchObject({ index });
  expect(table.state.open[0]?.reports.map(({ members: said }) => said.executing)).toEqual([
    [..."abcdefg"],
    [..."abcdefg"],
  ]);
  expect([table.state.named, table.state.recent]).toEqual([[], []]);
});
