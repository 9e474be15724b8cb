/** Reports of checkpoints: the same verdict on every replica, at the same entry. */
import { describe, expect, test } from "vitest";
import { doAll } from "../../../src/base/steps.js";
import { installFrames, framesOf } from "../../../src/execution/checkpoint-frames.js";
import { Executor } from "../../../src/execution/executor.js";
import { ReportTable } from "../../../src/execution/report-table.js";
import { reportsNeeded, type Report } from "../../../src/model/checkpoint.js";
import { logIndex, type LogIndex } from "../../../src/model/ids.js";
import { encodeMembership } from "../../../src/model/membership-codec.js";
import { nodeHash } from "../../../src/node/hash.js";
import { execute, keepAlive, limitsWith, opened, rawEntry, replicaWith } from "../../../test-support/order.js";
import { JournalMachine } from "../../../test-support/journal-machine.js";

const indexOf = (value: number): LogIndex => logIndex(value) ?? (0 as LogIndex);
const three = ["a", "b", "c"];
const report = (replica: string, index: number, root: number): Report => ({
  ...{ replica, incarnation: 1, index: indexOf(index), root: new Uint8Array(32).fill(root), bytes: 100, voters: three },
});

describe("a certificate", () => {
  test("needs one report more than replicas may be faulty", () => {
    expect([1, 2, 3, 4, 5, 6, 7].map(reportsNeeded)).toEqual([1, 1, 2, 2, 3, 3, 4]);
  });

  test("comes with f + 1 equal reports, and names who made them", () => {
    const table = new ReportTable();
    table.add(report("b", 10, 1));
    const before = table.certificate;
    table.add(report("a", 10, 1));

    expect(before).toBeUndefined();
    expect(table.certificate).toMatchObject({ index: 10, by: ["a", "b"], bytes: 100 });
  });

  test("does not come from different reports, from one replica twice, or from a stranger", () => {
    const table = new ReportTable();
    table.add(report("a", 10, 1));
    table.add(report("b", 10, 2));
    table.add(report("b", 10, 2));
    table.add(report("z", 10, 1));

    expect(table.certificate).toBeUndefined();
  });

  test("is never replaced by one of an older checkpoint", () => {
    const table = new ReportTable();
    for (const index of [20, 10]) for (const replica of three) table.add(report(replica, index, 1));

    expect(table.certificate?.index).toBe(20);
  });

  test("a replica that has started anew reports once more, and its last word counts", () => {
    const table = new ReportTable();
    table.add(report("a", 10, 9));
    table.add(report("a", 10, 1));
    table.add(report("b", 10, 1));

    expect(table.certificate?.by).toEqual(["a", "b"]);
  });
});

test("reports survive a checkpoint, and only the newest few positions are kept", () => {
  const table = new ReportTable();
  for (let index = 1; index <= 10; index += 1) table.add(report("a", index, index));
  const copy = new ReportTable();
  const isInstalled = copy.install(table.encode());
  copy.add(report("b", 9, 9));

  expect(isInstalled).toBe(true);
  expect(copy.isReported(indexOf(10), "a", new Uint8Array(32).fill(10))).toBe(true);
  expect(copy.isReported(indexOf(2), "a", new Uint8Array(32).fill(2))).toBe(false);
  expect(copy.certificate?.index).toBe(9);
});

test("bytes in another form are refused, and change nothing", () => {
  const table = new ReportTable();
  for (const replica of three) table.add(report(replica, 10, 1));
  for (const chunks of [
    [],
    [new Uint8Array([7])],
    [new Uint8Array([1, 0, 3, 1, 2])],
    [...table.encode(), new Uint8Array(1)],
  ]) {
    expect(table.install(chunks)).toBe(false);
  }
  expect(table.certificate?.index).toBe(10);
});

test("the frames of a fork give the same state to another executor, and equal states have equal frames (S8, S10)", () => {
  const replica = replicaWith({});
  const session = opened(replica, 5, "n");
  execute(replica, 9, [keepAlive(session, 1)]);
  const frames = [...framesOf(replica.executor.fork())];
  const other = new Executor({
    machine: new JournalMachine(),
    hash: nodeHash,
    limits: limitsWith({}),
    founders: { members: [] },
  });
  const objection = doAll(installFrames(other, { index: replica.executor.executedIndex, time: 9 }, frames));

  expect(objection).toBeUndefined();
  expect(other.digest()).toEqual(replica.executor.digest());
  expect([...framesOf(other.fork())]).toEqual(frames);
});

test("who the members are outlives the entries that said it (M6)", () => {
  const members = three.map((id) => ({
    id,
    role: "voter" as const,
    incarnation: 2,
    peer: `${id}:1`,
    client: `${id}:2`,
  }));
  const replica = replicaWith({});
  execute(replica, 1, []);
  replica.executor.execute(rawEntry(2, 1, { kind: "configuration", payload: encodeMembership({ members }) }));
  const other = replicaWith({}).executor;
  doAll(installFrames(other, { index: indexOf(2), time: 1 }, [...framesOf(replica.executor.fork())]));

  expect(other.configuration).toEqual(replica.executor.configuration);
  expect(other.configuration).toMatchObject({ index: 2, membership: { members } });
  expect(other.digest()).toEqual(replica.executor.digest());
});

test("frames that are cut off, or of a part that nobody knows, are refused", () => {
  const frames = [...framesOf(replicaWith({}).executor.fork())];
  const at = { index: indexOf(3), time: 1 };
  for (const wrong of [frames.slice(2), [...frames, new Uint8Array([99, 0])], [new Uint8Array([0, 200, 1])]]) {
    const executor = replicaWith({}).executor;

    expect(doAll(installFrames(executor, at, wrong))).toMatch(/Cannot install a checkpoint/);
  }
});

describe("a checkpoint is due", () => {
  test("after so many entries or bytes, at the same entries whether one started from a checkpoint or from the first entry", () => {
    const limits = { checkpoints: { logEntriesMax: 7, logBytesMax: 100_000 } };
    const whole = replicaWith(limits);
    const positions: number[] = [];
    let restarted = replicaWith(limits);
    const again: number[] = [];
    for (let index = 1; index <= 30; index += 1) {
      execute(whole, index, []);
      if (index > 14) execute(restarted, index, []);
      if (whole.executor.isCheckpointDue) positions.push(index);
      if (restarted.executor.isCheckpointDue && index > 14) again.push(index);
      if (index !== 14) continue;
      restarted = replicaWith(limits);
      doAll(installFrames(restarted.executor, { index: indexOf(14), time: 14 }, [...framesOf(whole.executor.fork())]));
    }

    expect(positions).toEqual([7, 14, 21, 28]);
    expect(again).toEqual([21, 28]);
  });
});
