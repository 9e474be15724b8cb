/** The rules of client sessions in Ongaro's thesis, "Consensus: Bridging Theory and Practice", section 6.3. One test per rule. */
import { expect, test } from "vitest";
import { ask, command, execute, opened, replicaWith, sessionOf, textOf } from "../../test-support/order.js";

test("6.3: each client is given a unique identifier by the log", () => {
  const replica = replicaWith({});

  const sessions = ["a", "b", "c"].map((nonce) => opened(replica, 0, nonce));

  expect(sessions).toEqual([1, 2, 3]);
});

test("6.3: a command whose serial number was executed is answered from the session, without executing it again", () => {
  const replica = replicaWith({});
  const session = opened(replica, 0, "n");

  const first = ask(replica, 0, command(session, 1, "x"));
  const again = ask(replica, 0, command(session, 1, "x"));

  expect(again).toEqual(first);
  expect(replica.machine.lines).toHaveLength(1);
});

test("6.3: requests of one client may be in flight together, so the session keeps a set of replies, not the newest alone", () => {
  const replica = replicaWith({});
  const session = opened(replica, 0, "n");
  execute(replica, 0, [command(session, 1, "a"), command(session, 2, "b"), command(session, 3, "c")]);

  const again = [3, 1, 2].map((number) => textOf(ask(replica, 0, command(session, number, "?"))));

  expect(again).toEqual(["3", "1", "2"]);
});

test("6.3: with each request a client says below which number it has every reply, and the state machine discards those", () => {
  const replica = replicaWith({});
  const session = opened(replica, 0, "n");
  ask(
    replica,
    0,
    command(session, 1, "a"),
    command(session, 2, "b"),
    command(session, 3, "c", { acknowledgedBelow: 3 }),
  );

  const kept = [1, 2, 3].map((number) => textOf(ask(replica, 0, command(session, number, "?"))));

  expect(kept).toEqual(["REPLY_RELEASED", "REPLY_RELEASED", "3"]);
});

test("6.3: all replicas agree when a session expires, because they expire it by the time in the log", () => {
  const replicas = [replicaWith({ sessions: { expiryMs: 1000 } }), replicaWith({ sessions: { expiryMs: 1000 } })];
  for (const replica of replicas) {
    opened(replica, 0, "n");
    execute(replica, 999, []);
    expect(replica.executor.sessions.state(sessionOf(1))).toMatchObject({ next: 1 });
    execute(replica, 1000, []);
  }

  expect(replicas.map(({ executor }) => executor.sessions.state(sessionOf(1)))).toEqual(["expired", "expired"]);
  expect(replicas[0]?.executor.digest()).toEqual(replicas[1]?.executor.digest());
});

test("6.3: a bounded table gives up the least recently used session, the same on every replica", () => {
  const replica = replicaWith({ sessions: { sessionsMax: 2 } });
  const [first, second] = [opened(replica, 0, "1"), opened(replica, 0, "2")];
  ask(replica, 0, command(first, 1, "used"));

  opened(replica, 0, "3");

  expect(replica.executor.sessions.state(first)).toMatchObject({ next: 2 });
  expect(replica.executor.sessions.state(second)).toBe("expired");
});

test("6.3: a client whose session is gone gets an error; its command is not executed as if it were new", () => {
  const replica = replicaWith({ sessions: { expiryMs: 1000 } });
  const session = opened(replica, 0, "n");
  ask(replica, 0, command(session, 1, "once"));

  const retry = ask(replica, 5000, command(session, 1, "once"));

  expect(textOf(retry)).toBe("SESSION_EXPIRED");
  expect(replica.machine.lines).toHaveLength(1);
});

test("6.3: keeping a session alive is itself in the log", () => {
  const replica = replicaWith({ sessions: { expiryMs: 1000 } });
  const session = opened(replica, 0, "n");

  for (let time = 900; time < 9000; time += 900) {
    const [executed] = execute(replica, time, [
      { kind: "keepAlive", session, acknowledgedBelow: command(session, 1, "").number },
    ]);
    expect(executed?.reply.status).toBe("alive");
  }

  expect(textOf(ask(replica, 9000, command(session, 1, "a")))).toBe("1");
});
