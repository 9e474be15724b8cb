import { encodeMembership } from "../../../src/model/membership-codec.js";
import { describe, expect, test } from "vitest";
import { decodeUtf8, encodeUtf8 } from "../../../src/base/bytes.js";
import { InvariantViolation } from "../../../src/base/invariant.js";
import { requestLimits } from "../../../src/model/request-limits.js";
import { ask, command, entryOf, execute, opened, rawEntry, replicaWith, textOf } from "../../../test-support/order.js";

describe("entries", () => {
  test("the commands of an entry reach the machine in one batch, each with its place in the entry", () => {
    const replica = replicaWith({});
    const session = opened(replica, 1000, "n");

    execute(replica, 1000, [command(session, 1, "a"), command(session, 9, "too early"), command(session, 2, "b")]);

    expect(replica.machine.lines).toEqual([`2.0 ${session}:a`, `2.2 ${session}:b`]);
    expect(replica.machine.instance?.journal.applied).toBe(2);
  });

  test("an entry without commands is applied too, so that agreed time moves on", () => {
    const replica = replicaWith({});

    replica.executor.execute(rawEntry(1, 5000, { kind: "noop" }));
    replica.executor.execute(rawEntry(2, 6000, { kind: "time" }));

    expect(replica.machine.instance?.journal).toEqual({ lines: [], applied: 2, time: 6000 });
    expect(replica.executor.time).toBe(6000);
    expect(replica.executor.executedIndex).toBe(2);
  });

  test("each request is answered in its place, whatever becomes of it", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");

    const executed = execute(replica, 0, [
      command(session, 1, "x", { name: "refuse" }),
      command(session, 2, "y", { name: "throw" }),
      command(session, 3, "z"),
      command(session, 2, "y", { name: "throw" }),
    ]);

    expect(executed.map(({ reply }) => textOf(reply))).toEqual(["rejected", "failed", "1", "failed"]);
    expect(executed.map(({ repeated }) => repeated)).toEqual([false, false, false, true]);
    expect(executed.map(({ key }) => key.kind === "command" && key.number)).toEqual([1, 2, 3, 2]);
  });

  test("an index that comes twice, or too early, stops the replica (X1, hazard D13)", () => {
    const replica = replicaWith({});
    execute(replica, 0, []);

    expect(() => replica.executor.execute(entryOf(1, 0, []))).toThrow(InvariantViolation);
    expect(() => replica.executor.execute(entryOf(3, 0, []))).toThrow(/X1/);
  });

  test("agreed time that goes back stops the replica (X2)", () => {
    const replica = replicaWith({});
    execute(replica, 1000, []);

    expect(() => execute(replica, 999, [])).toThrow(/X2/);
  });

  test("an entry in a form that this version does not know halts it, before and for good (hazard N6)", () => {
    for (const kind of ["version", "report", "configuration"] as const) {
      const replica = replicaWith({});
      execute(replica, 0, []);
      const digest = replica.executor.digest();

      expect(replica.executor.execute(rawEntry(2, 0, { kind }))).toEqual([]);
      expect(replica.executor.broken).toContain(`entry 2: its ${kind} is not in a form that this version knows`);
      expect(replica.executor.execute(entryOf(2, 0, []))).toEqual([]);
      expect(replica.executor.executedIndex).toBe(1);
      expect(replica.executor.digest()).toEqual(digest);
    }
  });

  test("an entry that says who the members are changes nothing that is executed", () => {
    const replica = replicaWith({});

    expect(
      replica.executor.execute(rawEntry(1, 0, { kind: "configuration", payload: encodeMembership({ members: [] }) })),
    ).toEqual([]);
    expect(replica.executor.broken).toBeUndefined();
    expect(replica.executor.executedIndex).toBe(1);
  });

  test("a batch that this version cannot read halts it", () => {
    const replica = replicaWith({});

    replica.executor.execute(rawEntry(1, 0, { kind: "batch", payload: new Uint8Array([9, 9]) }));

    expect(replica.executor.broken).toContain("entry 1");
  });

  test("a machine that answers too few outcomes stops the replica, and nothing is executed after it (X4, X6)", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");
    if (replica.machine.instance !== undefined) replica.machine.instance.apply = () => [];

    expect(() => execute(replica, 0, [command(session, 1, "a")])).toThrow(/X4/);
    expect(() => execute(replica, 0, [])).toThrow(/X6/);
    expect(() => replica.executor.query("journal", new Uint8Array(0))).toThrow(/X6/);
  });
});

describe("answers", () => {
  test("a query sees everything executed before it", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");
    execute(replica, 0, [command(session, 1, "a")]);

    const outcome = replica.executor.query("journal", new Uint8Array(0));

    expect(outcome.status === "ok" && decodeUtf8(outcome.output)).toBe(`2.0 ${session}:a`);
  });

  test("an output that no reply can carry becomes a failure that says so, the same on every replica", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");
    const within = ask(replica, 0, command(session, 1, String(requestLimits.replyBytesMax), { name: "large" }));
    const beyond = ask(replica, 0, command(session, 2, String(requestLimits.replyBytesMax + 1), { name: "large" }));

    expect(within.status).toBe("ok");
    expect(beyond.status === "failed" && beyond.message).toContain("was executed");
  });

  test("a failure's message is cut to what a reply may carry", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");

    const reply = ask(replica, 0, command(session, 1, "é".repeat(5000), { name: "throw" }));

    if (reply.status !== "failed") throw new Error(reply.status);
    expect(encodeUtf8(reply.message).length).toBeLessThanOrEqual(requestLimits.messageBytesMax);
    expect(reply.message.startsWith("thrown: é")).toBe(true);
  });

  test("something is due at the earliest of machine, sessions and keys", () => {
    const replica = replicaWith({ sessions: { expiryMs: 5000 }, idempotency: { retentionMs: 3000 } });
    const due = [replica.executor.dueAt()];
    const session = opened(replica, 1000, "n");
    due.push(replica.executor.dueAt());
    const idempotency = { principal: "p", key: "k", digest: new Uint8Array(32) };
    ask(replica, 1000, command(session, 1, "a", { idempotency }));
    due.push(replica.executor.dueAt());
    if (replica.machine.instance !== undefined) replica.machine.instance.due = 2000;
    due.push(replica.executor.dueAt());

    expect(due).toEqual([undefined, 6000, 4000, 2000]);
  });

  test("only what is not executed is held (X8)", () => {
    const replica = replicaWith({});
    opened(replica, 0, "n");
    const at = { index: replica.executor.executedIndex, step: 0 };

    expect(() => replica.executor.hold({ at, reason: "stack" }, true)).toThrow(/X8/);
  });
});
