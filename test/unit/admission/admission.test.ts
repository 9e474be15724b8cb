import { describe, expect, test } from "vitest";

import { AdmissionTable, type Admission } from "../../../src/admission/admit.js";
import { Batcher } from "../../../src/admission/batcher.js";
import { Intake } from "../../../src/admission/intake.js";
import { defaultLimits } from "../../../src/api/config.js";
import type { SessionView } from "../../../src/execution/session-view.js";
import { requestNumber, sessionId, type RequestNumber, type SessionId } from "../../../src/model/ids.js";
import type { Reply, RequestKey } from "../../../src/model/request.js";

const session = sessionId(5) as SessionId;
const number = (value: number): RequestNumber => requestNumber(value) as RequestNumber;
const command = (value: number) => ({ kind: "command", session, number: number(value) }) as const;
const resolve = (value: number) => ({ kind: "resolve", session, number: number(value) }) as const;

function admit(table: AdmissionTable, key: RequestKey): Admission {
  const admission = table.look(key);
  if (admission.kind === "admitted") table.take(key);
  return admission;
}

/** As execution left the sessions: session 5 runs `next` next and keeps the replies from `kept` on. */
function executed(next: number, kept: number): SessionView {
  const reply: Reply = { status: "ok", output: new Uint8Array(0), expiresAt: undefined };
  return {
    count: 1,
    state: (id) =>
      id === session ? { id, principal: "", next: number(next), releasedBelow: number(kept) } : "unknown",
    storedReply: (id, asked) => (id === session && asked >= kept && asked < next ? reply : undefined),
    openedBy: () => undefined,
  };
}

describe("admission", () => {
  test("numbers in order are admitted once each", () => {
    const table = new AdmissionTable(executed(1, 1));

    expect([1, 2, 2, 1, 3].map((value) => admit(table, command(value)).kind)).toEqual([
      "admitted",
      "admitted",
      "repeated",
      "repeated",
      "admitted",
    ]);
  });

  test("C5: a number that overtook another is sent back with the one to begin from", () => {
    const table = new AdmissionTable(executed(1, 1));
    admit(table, command(1));

    expect(admit(table, command(3))).toEqual({ kind: "gap", next: 2 });
    expect(admit(table, command(2)).kind).toBe("admitted");
    expect(admit(table, command(3)).kind).toBe("admitted");
  });

  test("an executed number is repeated, and goes into the order again only if its reply is gone", () => {
    const table = new AdmissionTable(executed(10, 5));

    expect(admit(table, command(7)).kind).toBe("repeated");
    expect(admit(table, command(3)).kind).toBe("admitted");
  });

  test("after a change of leader what execution knows counts, not what was admitted", () => {
    const table = new AdmissionTable(executed(3, 1));
    for (const value of [3, 4, 5]) admit(table, command(value));
    table.reset();

    expect(admit(table, command(4))).toEqual({ kind: "gap", next: 3 });
    expect(admit(table, command(3)).kind).toBe("admitted");
  });

  test("a number that is being settled closes the gap behind it", () => {
    const table = new AdmissionTable(executed(1, 1));
    admit(table, resolve(2));
    admit(table, command(1));

    expect(admit(table, command(3)).kind).toBe("admitted");
  });

  test("a session that this replica has not executed yet is left to execution", () => {
    const table = new AdmissionTable(executed(1, 1));

    expect(admit(table, { kind: "command", session: sessionId(9) as SessionId, number: number(4) }).kind).toBe(
      "admitted",
    );
  });
});

describe("an intake whose entries are dear", () => {
  const requestOf = (value: number) => ({ keys: [command(value)], bytes: new Uint8Array(8), from: "a" });

  test("gathers while one is on its way, and goes on with whole batches alone", () => {
    const limits = { ...defaultLimits.admission, batchCountMax: 3, pipelineMax: 2 };
    const intake = new Intake(limits, executed(1, 1), 1);
    intake.take(requestOf(1));
    expect(intake.nextBatch(0)).toHaveLength(1);
    for (const value of [2, 3]) intake.take(requestOf(value));
    expect(intake.nextBatch(0)).toBeUndefined();
    for (const value of [4, 5]) intake.take(requestOf(value));
    expect(intake.nextBatch(0)).toHaveLength(3);
    expect(intake.nextBatch(0)).toBeUndefined();

    intake.onCommitted(0);
    expect(intake.nextBatch(0)).toBeUndefined();
    intake.onCommitted(0);
    expect(intake.nextBatch(0)).toHaveLength(1);
  });
});

describe("an intake whose entries are dear waits for company", () => {
  const limits = { ...defaultLimits.admission, batchCountMax: 100 };

  /** Twelve of twenty requests were ordered in an entry that took 40 ms, and are executed at 100 ms; the other eight wait. */
  function halfOfThem(): { readonly intake: Intake; take(count: number): void } {
    const intake = new Intake(limits, executed(1, 1), 1);
    let value = 0;
    const take = (count: number): void => {
      for (let left = count; left > 0; left -= 1) {
        intake.take({ keys: [command((value += 1))], bytes: new Uint8Array(8), from: "a" });
      }
    };
    take(12);
    expect(intake.nextBatch(60)).toHaveLength(12);
    take(8);
    intake.onCommitted(100);
    return { intake, take };
  }

  test("until three of four who were answered have asked again", () => {
    const { intake, take } = halfOfThem();
    expect(intake.nextBatch(100)).toBeUndefined();
    take(8);
    expect(intake.nextBatch(110)).toBeUndefined();
    take(1);
    expect(intake.nextBatch(111)).toHaveLength(17);
  });

  test("for three quarters of the time at most that the entry before took, and says when that is", () => {
    const { intake } = halfOfThem();
    expect(intake.nextBatch(105)).toBeUndefined();
    expect([intake.nextBatch(134), intake.wakeAt(134)]).toEqual([undefined, 135]);
    expect(intake.nextBatch(135)).toHaveLength(8);
    expect(intake.wakeAt(135)).toBeUndefined();
  });

  test("not where a whole batch waits, and not any more once another leads", () => {
    const whole = halfOfThem();
    whole.take(92);
    expect(whole.intake.nextBatch(100)).toHaveLength(100);

    const another = halfOfThem();
    another.intake.reset();
    another.intake.take({ keys: [command(1)], bytes: new Uint8Array(8), from: "a" });
    expect(another.intake.nextBatch(100)).toHaveLength(1);
  });

  test("and who has waited in vain lets more and more entries go without waiting", () => {
    const { intake, take } = halfOfThem();
    let now = 130;
    expect([intake.nextBatch(100), intake.nextBatch(now)]).toEqual([undefined, expect.objectContaining({ length: 8 })]);
    const goesAtOnce = Array.from({ length: 10 }, () => {
      take(8);
      intake.onCommitted((now += 40));
      const isAtOnce = intake.nextBatch(now) !== undefined;
      if (!isAtOnce) expect(intake.nextBatch((now += 30))).toHaveLength(8);
      return isAtOnce;
    });

    expect(goesAtOnce).toEqual([true, false, true, true, true, false, true, true, true, true]);
  });
});

describe("an intake that is closed", () => {
  const limits = { ...defaultLimits.admission, batchCountMax: 1, pipelineMax: 1 };
  const full = { code: "DISK_FULL" } as const;
  const requestOf = (key: RequestKey, from = "a") => ({ keys: [key], bytes: new Uint8Array(8), from });

  test("D12: it answers what was not proposed, refuses what is new, and says nothing to what is in the order", () => {
    const intake = new Intake(limits, executed(1, 1));
    for (const value of [1, 2, 3]) expect(intake.take(requestOf(command(value), "b"))).toBeUndefined();
    expect(intake.nextBatch(0)).toHaveLength(1);

    expect(intake.close(full)).toMatchObject([2, 3].map((value) => ({ keys: [command(value)], from: "b" })));
    expect(intake.take(requestOf(command(1)))).toBeUndefined();
    expect([2, 3, 7].map((value) => intake.take(requestOf(command(value))))).toEqual([full, full, full]);
    intake.onCommitted(0);
    expect(intake.nextBatch(0)).toBeUndefined();
    expect(intake.close(full)).toEqual([]);

    expect(intake.close(undefined)).toEqual([]);
    expect(intake.take(requestOf(command(3)))).toEqual({ code: "GAP", next: 2 });
    expect(intake.take(requestOf(command(2)))).toBeUndefined();
    expect(intake.nextBatch(0)).toHaveLength(1);
  });

  test("D12: a number that was to be settled and is not is a gap again", () => {
    const intake = new Intake(limits, executed(1, 1));
    intake.take(requestOf(command(1)));
    expect(intake.nextBatch(0)).toHaveLength(1);
    intake.take(requestOf(resolve(3)));
    intake.take(requestOf(command(2)));
    intake.close(full);
    intake.close(undefined);

    expect(intake.take(requestOf(command(4)))).toEqual({ code: "GAP", next: 2 });
    expect(intake.take(requestOf(command(2)))).toBeUndefined();
    expect(intake.take(requestOf(command(4)))).toEqual({ code: "GAP", next: 3 });
  });
});

describe("requests that travel together", () => {
  const limits = { ...defaultLimits.admission, batchCountMax: 4, queueCountMax: 6 };
  const bundleOf = (...keys: readonly RequestKey[]) => ({ keys, bytes: new Uint8Array(8), from: "a" });

  test("one that is not in the order yet is enough for all of them, and they are ordered once", () => {
    const intake = new Intake(limits, executed(1, 1));
    expect(intake.take(bundleOf(command(1), command(2)))).toBeUndefined();
    expect(intake.take(bundleOf(command(2), command(3)))).toBeUndefined();
    // All of it is on its way.
    expect(intake.take(bundleOf(command(1), command(3)))).toBeUndefined();
    expect(intake.nextBatch(0)).toHaveLength(2);
    expect(intake.nextBatch(0)).toBeUndefined();
  });

  test("they are refused only if there is nothing else in them, and then nothing of them is taken", () => {
    const intake = new Intake(limits, executed(1, 1));
    expect(intake.take(bundleOf(command(3), command(4)))).toEqual({ code: "GAP", next: 1 });
    expect(intake.take(bundleOf(command(3), command(1)))).toBeUndefined();
    expect(intake.take(bundleOf(command(2)))).toBeUndefined();

    intake.close({ code: "DISK_FULL" });
    expect(intake.take(bundleOf(command(1), command(3)))).toEqual({ code: "DISK_FULL" });
    intake.close(undefined);
    for (const value of [1, 2]) expect(intake.take(bundleOf(command(value)))).toBeUndefined();
  });

  test("limits of batches and of the queue count each of them", () => {
    const intake = new Intake(limits, executed(1, 1));
    intake.take(bundleOf(command(1), command(2), command(3)));
    intake.take(bundleOf(command(4), command(5), command(6)));
    expect(intake.take(bundleOf(command(7)))).toEqual({ code: "OVERLOADED", queued: 6, limit: 6 });

    expect(intake.nextBatch(0)).toHaveLength(1);
    expect(intake.take(bundleOf(command(7)))).toBeUndefined();
    expect(intake.nextBatch(0)).toHaveLength(2);
  });
});

describe("an entry behind others", () => {
  const limits = { ...defaultLimits.admission, batchCountMax: 100, batchBytesMax: 1_000, pipelineMax: 3 };
  const size = (batch: readonly Uint8Array[] | undefined): number | undefined => batch?.length;

  /** Takes so many requests, each of so many bytes. */
  function filled(): { readonly intake: Intake; take(count: number, bytes?: number): void } {
    const intake = new Intake(limits, executed(1, 1));
    let value = 0;
    const take = (count: number, bytes = 1): void => {
      for (let left = count; left > 0; left -= 1) {
        const key = command((value += 1));
        expect(intake.take({ keys: [key], bytes: new Uint8Array(bytes), from: "a" })).toBeUndefined();
      }
    };
    return { intake, take };
  }

  test("waits until it holds as many requests as they do on average, or they are executed", () => {
    const { intake, take } = filled();
    take(40);
    expect(size(intake.nextBatch(0))).toBe(40);
    take(39);
    expect(size(intake.nextBatch(0))).toBeUndefined();
    take(11);
    expect(size(intake.nextBatch(0))).toBe(50);
    take(44);
    expect(size(intake.nextBatch(0))).toBeUndefined();

    intake.onCommitted(0);
    expect(size(intake.nextBatch(0))).toBeUndefined();
    intake.onCommitted(0);
    expect(size(intake.nextBatch(0))).toBe(44);
    take(44);
    expect(size(intake.nextBatch(0))).toBe(44);
    take(44);
    expect(size(intake.nextBatch(0))).toBe(44);
    take(90);
    expect(size(intake.nextBatch(0))).toBeUndefined();
    for (let left = 3; left > 0; left -= 1) intake.onCommitted(0);
    expect(size(intake.nextBatch(0))).toBe(90);
  });

  test("does not wait once it can hold no more, nor behind entries without requests", () => {
    const { intake, take } = filled();
    take(100);
    expect(size(intake.nextBatch(0))).toBe(100);
    take(2, 500);
    expect(size(intake.nextBatch(0))).toBe(2);

    intake.onCommitted(0);
    intake.onCommitted(0);
    intake.onProposed(0);
    take(1);
    expect(size(intake.nextBatch(0))).toBe(1);
  });

  test("of an earlier term holds nothing back", () => {
    const { intake, take } = filled();
    take(50);
    intake.nextBatch(0);
    intake.reset();
    expect(intake.take({ keys: [command(1)], bytes: new Uint8Array(1), from: "a" })).toBeUndefined();
    expect(size(intake.nextBatch(0))).toBe(1);
  });
});

describe("batches", () => {
  const limits = {
    ...defaultLimits.admission,
    batchCountMax: 3,
    batchBytesMax: 10,
    queueCountMax: 5,
    queueBytesMax: 100,
  };
  const sized = (length: number) => ({ keys: [command(1)], bytes: new Uint8Array(length), from: "a" });

  test("a batch holds what fits, in order, and at least one", () => {
    const batcher = new Batcher(limits);
    for (const length of [4, 4, 4, 50, 1]) batcher.add(sized(length));

    const sizes = [];
    while (batcher.count > 0) sizes.push(batcher.take().map(({ bytes }) => bytes.length));
    expect(sizes).toEqual([[4, 4], [4], [50], [1]]);
  });

  test("a queue is full by count or by bytes, and has room again when a batch is taken", () => {
    const byCount = new Batcher(limits);
    for (let count = 0; count < 5; count += 1) byCount.add(sized(1));
    expect(byCount.isFull).toBe(true);
    byCount.take();
    expect(byCount.isFull).toBe(false);

    const byBytes = new Batcher(limits);
    byBytes.add(sized(100));
    expect(byBytes.isFull).toBe(true);
  });
});
