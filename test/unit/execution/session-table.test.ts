import { describe, expect, test } from "vitest";
import {
  ask,
  command,
  execute,
  keepAlive,
  numberOf,
  opened,
  replicaWith,
  noAuditMs,
  resolve,
  sessionOf,
  textOf,
} from "../../../test-support/order.js";

describe("numbers", () => {
  test("only the session's next number runs: a lower one gets its reply again, a higher one is refused without effect", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");

    expect(textOf(ask(replica, 0, command(session, 1, "a")))).toBe("1");
    expect(textOf(ask(replica, 0, command(session, 1, "a")))).toBe("1");
    expect(ask(replica, 0, command(session, 3, "c"))).toEqual({
      status: "refused",
      refusal: { code: "OUT_OF_ORDER", number: 3, next: 2 },
    });
    expect(textOf(ask(replica, 0, command(session, 2, "b"), command(session, 3, "c")))).toBe("3");
    expect(replica.machine.lines.map((line) => line.split(":")[1])).toEqual(["a", "b", "c"]);
  });

  test("an acknowledged reply is released, and its number never runs again", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");
    ask(replica, 0, command(session, 1, "a"), command(session, 2, "b", { acknowledgedBelow: 2 }));

    expect(textOf(ask(replica, 0, command(session, 1, "a")))).toBe("REPLY_RELEASED");
    expect(textOf(ask(replica, 0, command(session, 2, "b")))).toBe("2");
    expect(replica.executor.sessions.storedReply(session, numberOf(1))).toBeUndefined();
    expect(replica.machine.lines).toHaveLength(2);
  });

  test("an acknowledgement beyond what was executed releases only what was executed", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");
    ask(replica, 0, command(session, 1, "a"), keepAlive(session, 1_000_000));

    expect(textOf(ask(replica, 0, command(session, 2, "b")))).toBe("2");
    expect(textOf(ask(replica, 0, command(session, 2, "b")))).toBe("2");
  });

  test("an acknowledgement within the entry that runs the command releases its reply at once", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");

    const executed = execute(replica, 0, [
      command(session, 1, "a"),
      command(session, 2, "b", { acknowledgedBelow: 2 }),
      command(session, 1, "a"),
    ]);

    expect(executed.map(({ reply }) => textOf(reply))).toEqual(["1", "2", "REPLY_RELEASED"]);
    expect(textOf(ask(replica, 0, command(session, 3, "c", { acknowledgedBelow: 3 })))).toBe("3");
  });

  test("one session holds thousands of replies, and releases them all with one acknowledgement (X3)", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");
    const requests = Array.from({ length: 5000 }, (_, at) => command(session, at + 1, "x"));
    execute(replica, 0, requests);

    expect(textOf(replica.executor.sessions.storedReply(session, numberOf(1)))).toBe("1");
    expect(textOf(ask(replica, 0, command(session, 5001, "y", { acknowledgedBelow: 5001 })))).toBe("5001");
    expect(replica.executor.sessions.state(session)).toMatchObject({ next: 5002, releasedBelow: 5001 });
  });

  test("a session that acknowledges nothing is refused beyond its limit, and goes on once it does", () => {
    const replica = replicaWith({ sessions: { repliesMax: 2 } });
    const session = opened(replica, 0, "n");
    ask(replica, 0, command(session, 1, "a"), command(session, 2, "b"));

    expect(ask(replica, 0, command(session, 3, "c"))).toEqual({
      status: "refused",
      refusal: { code: "TOO_MANY_REPLIES", kept: 2, limit: 2 },
    });
    expect(textOf(ask(replica, 0, command(session, 3, "c", { acknowledgedBelow: 2 })))).toBe("3");
  });

  test("bytes of kept replies are bounded for each session", () => {
    const replica = replicaWith({ sessions: { replyBytesMax: 1000 } });
    const session = opened(replica, 0, "n");
    ask(replica, 0, command(session, 1, "1000", { name: "large" }));

    expect(textOf(ask(replica, 0, command(session, 2, "a")))).toBe("TOO_MANY_REPLIES");
    expect(textOf(ask(replica, 0, command(session, 2, "a", { acknowledgedBelow: 2 })))).toBe("1");
  });
});

describe("opening", () => {
  test("the same opener with the same nonce gets the same session; another opener does not", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");

    expect(opened(replica, 0, "n")).toBe(session);
    expect(ask(replica, 0, { kind: "open", nonce: "n", principal: "other" })).toEqual({ status: "opened", session: 2 });
    expect(replica.executor.sessions.openedBy("p", "n")).toBe(session);
    expect(replica.executor.sessions.openedBy("p", "m")).toBeUndefined();
  });

  test("a session's number is never given twice", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");
    ask(replica, 0, { kind: "close", session });

    expect(opened(replica, 0, "n")).toBe(session + 1);
  });

  test("a session given is told from one never given: the first is expired, the second unknown", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");
    ask(replica, 0, { kind: "close", session });

    expect(textOf(ask(replica, 0, command(session, 1, "a")))).toBe("SESSION_EXPIRED");
    expect(textOf(ask(replica, 0, command(sessionOf(7), 1, "a")))).toBe("SESSION_UNKNOWN");
    expect(replica.executor.sessions.state(session)).toBe("expired");
    expect(replica.executor.sessions.state(sessionOf(7))).toBe("unknown");
    for (const request of [resolve(session, 1), keepAlive(session, 1), { kind: "close", session } as const]) {
      expect(textOf(ask(replica, 0, request))).toBe("SESSION_EXPIRED");
    }
  });
});

describe("expiry", () => {
  test("a session that nobody uses expires by agreed time, one that is kept alive does not", () => {
    const replica = replicaWith({ sessions: { expiryMs: 10_000 } });
    const [idle, alive] = [opened(replica, 0, "1"), opened(replica, 0, "2")];
    ask(replica, 9_000, keepAlive(alive, 1));

    execute(replica, 10_000, []);

    expect(replica.executor.sessions.state(idle)).toBe("expired");
    expect(replica.executor.sessions.state(alive)).toMatchObject({ next: 1 });
    expect(replica.executor.dueAt()).toBe(19_000);
  });

  test("every kind of use counts, but not a request that is refused as out of order", () => {
    const replica = replicaWith({ sessions: { expiryMs: 10_000 } });
    const sessions = ["1", "2", "3", "4"].map((nonce) => opened(replica, 0, nonce));
    const [one, two, three, four] = sessions as [never, never, never, never];
    execute(replica, 5_000, [
      command(one, 1, "a"),
      resolve(two, 1),
      { kind: "open", nonce: "3", principal: "p" },
      command(four, 2, "early"),
    ]);

    execute(replica, 10_000, []);

    const states = [one, two, three, four].map((session) => replica.executor.sessions.state(session) !== "expired");
    expect(states).toEqual([true, true, true, false]);
  });

  test("sessions due at once expire a bounded number per entry, and one that waits for its turn is expired to all", () => {
    const replica = replicaWith({ sessions: { expiryMs: 10_000, expirationsPerEntryMax: 2 } });
    const sessions = [1, 2, 3, 4, 5].map((nonce) => opened(replica, 0, `${nonce}`));
    const last = sessions[4] ?? sessionOf(1);

    const reply = execute(replica, 10_000, [command(last, 1, "late")])[0]?.reply;
    const open = [replica.executor.sessions.count];
    const due = replica.executor.dueAt();
    execute(replica, 10_000, []);
    open.push(replica.executor.sessions.count);

    expect(textOf(reply)).toBe("SESSION_EXPIRED");
    expect(open).toEqual([2, 0]);
    expect(due).toBe(10_000);
    expect(replica.executor.sessions.state(last)).toBe("expired");
    expect(replica.executor.dueAt()).toBe(noAuditMs);
  });
});

describe("resolving", () => {
  test("a number that was executed is answered with its reply, also within the same entry", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");

    const executed = execute(replica, 0, [command(session, 1, "a"), resolve(session, 1)]);

    expect(executed.map(({ reply }) => textOf(reply))).toEqual(["1", "executed 1"]);
    expect(textOf(ask(replica, 0, resolve(session, 1)))).toBe("executed 1");
  });

  test("a number that was not executed never will be, and the session passes over it", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");

    expect(textOf(ask(replica, 0, resolve(session, 1)))).toBe("tombstoned");
    expect(textOf(ask(replica, 0, command(session, 1, "late")))).toBe("TOMBSTONED");
    expect(textOf(ask(replica, 0, resolve(session, 1)))).toBe("tombstoned");
    expect(textOf(ask(replica, 0, command(session, 2, "b")))).toBe("1");
    expect(replica.machine.lines.map((line) => line.split(":")[1])).toEqual(["b"]);
  });

  test("tombstones ahead are passed over together when their turn comes", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");
    ask(replica, 0, resolve(session, 3), resolve(session, 2), resolve(session, 5));

    expect(textOf(ask(replica, 0, command(session, 2, "settled")))).toBe("TOMBSTONED");
    ask(replica, 0, command(session, 1, "a"));
    expect(replica.executor.sessions.state(session)).toMatchObject({ next: 4 });
    expect(textOf(ask(replica, 0, command(session, 4, "d")))).toBe("2");
    expect(replica.executor.sessions.state(session)).toMatchObject({ next: 6 });
  });

  test("a command ahead of its turn that is tombstoned is told so, not that it comes too early", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");
    ask(replica, 0, resolve(session, 4));

    expect(textOf(ask(replica, 0, command(session, 4, "x")))).toBe("TOMBSTONED");
  });

  test("a number whose reply was acknowledged away is not guessed about", () => {
    const replica = replicaWith({});
    const session = opened(replica, 0, "n");
    ask(replica, 0, command(session, 1, "a"), resolve(session, 2), keepAlive(session, 3));

    expect(textOf(ask(replica, 0, resolve(session, 1)))).toBe("REPLY_RELEASED");
    expect(textOf(ask(replica, 0, resolve(session, 2)))).toBe("REPLY_RELEASED");
    expect(textOf(ask(replica, 0, command(session, 2, "late")))).toBe("REPLY_RELEASED");
  });

  test("tombstones ahead are bounded", () => {
    const replica = replicaWith({ sessions: { tombstonesMax: 2 } });
    const session = opened(replica, 0, "n");
    ask(replica, 0, resolve(session, 5), resolve(session, 7));

    expect(textOf(ask(replica, 0, resolve(session, 9)))).toBe("TOO_MANY_TOMBSTONES");
    expect(textOf(ask(replica, 0, resolve(session, 7)))).toBe("tombstoned");
  });
});

describe("eviction", () => {
  test("a full table gives up the session that was used least recently, and only that (X5)", () => {
    const replica = replicaWith({ sessions: { sessionsMax: 3 } });
    const [a, b, c] = [opened(replica, 0, "a"), opened(replica, 0, "b"), opened(replica, 0, "c")];
    ask(replica, 0, command(a, 1, "still here"));

    const d = opened(replica, 0, "d");

    const open = [a, b, c, d].filter((session) => replica.executor.sessions.state(session) !== "expired");
    expect(open).toEqual([a, c, d]);
    expect(replica.executor.statistics.sessions).toMatchObject({ opened: 4, evicted: 1, expired: 0 });
  });

  test("a session evicted by the very entry that runs its command leaves nothing behind", () => {
    const replica = replicaWith({ sessions: { sessionsMax: 1, replyBytesMax: 500, replyBytesTotalMax: 500 } });
    const session = opened(replica, 0, "a");

    const executed = execute(replica, 0, [
      command(session, 1, "a"),
      { kind: "open", nonce: "b", principal: "p" },
      command(session, 1, "a"),
    ]);

    expect(executed.map(({ reply }) => textOf(reply))).toEqual(["1", "opened", "SESSION_EXPIRED"]);
    expect(textOf(ask(replica, 0, command(sessionOf(2), 1, "b")))).toBe("2");
  });

  test("beyond the bytes of all replies the least recently used sessions are given up, never the last one", () => {
    const replica = replicaWith({ sessions: { replyBytesMax: 2000, replyBytesTotalMax: 2600 } });
    const sessions = ["a", "b", "c"].map((nonce) => opened(replica, 0, nonce));
    for (const session of sessions) ask(replica, 0, command(session, 1, "1000", { name: "large" }));

    const open = sessions.map((session) => replica.executor.sessions.state(session) !== "expired");
    expect(open).toEqual([false, true, true]);

    const last = sessions[2] ?? sessionOf(1);
    expect(ask(replica, 0, command(last, 2, "5000", { name: "large" })).status).toBe("ok");
    expect(replica.executor.sessions.count).toBe(1);
    expect(replica.executor.sessions.state(last)).toMatchObject({ next: 3 });
  });
});
