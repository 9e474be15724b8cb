/** Hazards C2, C3, C6, S8, S10: the session table is the same everywhere, bounded, and part of what a checkpoint restores. */
import { expect, test } from "vitest";
import { doAll } from "../../src/base/steps.js";
import type { ExecutorFork } from "../../src/execution/executor.js";
import {
  ask,
  command,
  execute,
  keepAlive,
  opened,
  replicaWith,
  resolve,
  textOf,
  type OrderedReplica,
} from "../../test-support/order.js";

function restored(fork: ExecutorFork): OrderedReplica {
  const replica = replicaWith({});
  const objection = doAll(replica.executor.installing({ ...fork, machine: [...fork.machine.chunks()] }));
  if (objection !== undefined) throw new Error(objection);
  return replica;
}

// A client ran 7, got no answer, and asked again at a replica that had been restored from a checkpoint (S8).
test("S8: a retry after a restore gets the stored reply", () => {
  const replica = replicaWith({});
  const session = opened(replica, 0, "n");
  for (let number = 1; number <= 7; number += 1) ask(replica, 0, command(session, number, String(number)));
  const other = restored(replica.executor.fork());

  const retry = ask(other, 0, command(session, 7, "7"));

  expect(textOf(retry)).toBe("7");
  expect(other.machine.lines).toHaveLength(7);
});

test("S8: tombstones, idempotency keys, nonces and given numbers survive a restore", () => {
  const replica = replicaWith({});
  const session = opened(replica, 0, "n");
  const idempotency = { principal: "p", key: "k", digest: new Uint8Array(32) };
  ask(replica, 0, command(session, 1, "a", { idempotency }), resolve(session, 2), resolve(session, 5));
  ask(replica, 0, { kind: "close", session: opened(replica, 0, "closed") });
  const other = restored(replica.executor.fork());

  expect(textOf(ask(other, 0, command(session, 2, "late")))).toBe("TOMBSTONED");
  expect(textOf(ask(other, 0, command(session, 5, "late")))).toBe("TOMBSTONED");
  expect(textOf(ask(other, 0, command(session, 3, "b", { idempotency })))).toBe("1");
  expect(opened(other, 0, "n")).toBe(session);
  expect(opened(other, 0, "new")).toBe(3);
});

test("S10: replicas that executed the same have the same bytes, and a restored one stays equal from there on", () => {
  const [one, two] = [replicaWith({}), replicaWith({})];
  for (const replica of [one, two]) {
    const [a, b] = [opened(replica, 10, "a"), opened(replica, 20, "b")];
    execute(replica, 30, [command(b, 1, "x"), command(a, 1, "y"), command(b, 2, "z", { acknowledgedBelow: 2 })]);
  }
  const three = restored(one.executor.fork());
  for (const replica of [one, two, three])
    execute(replica, 40, [command(1 as never, 2, "more"), keepAlive(2 as never, 3)]);

  const sessionsOf = ({ executor }: OrderedReplica): readonly Uint8Array[] => [...executor.fork().sessions];
  expect(sessionsOf(two)).toEqual(sessionsOf(one));
  expect(sessionsOf(three)).toEqual(sessionsOf(one));
  expect(two.executor.digest()).toEqual(one.executor.digest());
  expect(three.executor.digest()).toEqual(one.executor.digest());
});

test("a fork is unaffected by what is executed after it", () => {
  const replica = replicaWith({});
  const session = opened(replica, 0, "n");
  const fork = replica.executor.fork();
  const digest = replica.executor.digest();

  ask(replica, 5, command(session, 1, "a"));

  expect(replica.executor.digest()).not.toEqual(digest);
  expect(restored(fork).executor.digest()).toEqual(digest);
});

test("the order of last use survives a restore, so that the same session is evicted next", () => {
  const limits = { sessions: { sessionsMax: 3 } };
  const replica = replicaWith(limits);
  const [a, b, c] = [opened(replica, 0, "a"), opened(replica, 0, "b"), opened(replica, 0, "c")];
  ask(replica, 0, command(a, 1, "x"));
  const fork = replica.executor.fork();
  const other = replicaWith(limits);
  doAll(other.executor.installing({ ...fork, machine: [...fork.machine.chunks()] }));

  for (const each of [replica, other]) opened(each, 0, "d");

  for (const each of [replica, other]) {
    expect([a, b, c].map((session) => each.executor.sessions.state(session) === "expired")).toEqual([
      false,
      true,
      false,
    ]);
  }
  expect(other.executor.digest()).toEqual(replica.executor.digest());
});

// The clocks of two replicas differ by an hour; one executes the log a day later (C2).
test("C2: sessions expire by the times in the entries, whenever and wherever these are executed", () => {
  const limits = { sessions: { expiryMs: 60_000 } };
  const run = () => {
    const replica = replicaWith(limits);
    const idle = opened(replica, 0, "idle");
    const busy = opened(replica, 0, "busy");
    for (let at = 1; at <= 10; at += 1) ask(replica, at * 10_000, command(busy, at, "x"));
    return { replica, states: [idle, busy].map((session) => replica.executor.sessions.state(session) === "expired") };
  };

  const [now, later] = [run(), run()];

  expect(now.states).toEqual([true, false]);
  expect(later.states).toEqual(now.states);
  expect(later.replica.executor.digest()).toEqual(now.replica.executor.digest());
});

test("C3: a session that expired before a restore is as gone after it as it was before", () => {
  const replica = replicaWith({ sessions: { expiryMs: 1000 } });
  const session = opened(replica, 0, "n");
  ask(replica, 0, command(session, 1, "a"));
  execute(replica, 5000, []);
  const other = restored(replica.executor.fork());

  for (const each of [replica, other])
    expect(textOf(ask(each, 5000, command(session, 1, "a")))).toBe("SESSION_EXPIRED");
  expect(other.machine.lines).toHaveLength(1);
});

test("C6: many times more sessions than the table holds: it stays bounded, and an evicted client never runs twice", () => {
  const replica = replicaWith({ sessions: { sessionsMax: 100 } });
  const first = opened(replica, 0, "first");
  ask(replica, 0, command(first, 1, "once"));

  for (let batch = 0; batch < 20; batch += 1) {
    execute(
      replica,
      0,
      Array.from({ length: 500 }, (_, at) => ({ kind: "open", nonce: `${batch}.${at}`, principal: "p" }) as const),
    );
  }

  expect(replica.executor.sessions.count).toBe(100);
  expect(replica.executor.statistics.sessions.evicted).toBe(9901);
  expect(textOf(ask(replica, 0, command(first, 1, "once")))).toBe("SESSION_EXPIRED");
  expect(replica.machine.lines).toHaveLength(1);
});

test("S7: chunks that are not in their form are refused, and then nothing is executed on them", () => {
  const replica = replicaWith({});
  const session = opened(replica, 0, "n");
  ask(replica, 0, command(session, 1, "abc"));
  const fork = replica.executor.fork();
  const machine = [...fork.machine.chunks()];

  const [header, sessions] = [...fork.sessions];
  if (header === undefined || sessions === undefined) throw new Error("a header and one chunk");

  for (let at = 0; at < sessions.length; at += 1) {
    const cut = [header, sessions.slice(0, at + 1)];
    const other = replicaWith({});
    const isWhole = at + 1 === sessions.length;

    const objection = doAll(other.executor.installing({ ...fork, machine, sessions: cut }));

    expect(objection === undefined).toBe(isWhole);
    expect(other.executor.broken === undefined).toBe(isWhole);
  }
});
