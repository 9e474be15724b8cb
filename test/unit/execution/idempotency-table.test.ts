import { expect, test } from "vitest";
import type { IdempotencyKey } from "../../../src/model/request.js";
import { ask, command, execute, opened, replicaWith, textOf } from "../../../test-support/order.js";

const keyed = (key: string, body = 1, principal = "p"): { readonly idempotency: IdempotencyKey } => ({
  idempotency: { principal, key, digest: new Uint8Array(32).fill(body) },
});

test("a second request under a key gets the first reply without running, under whatever session it comes", () => {
  const replica = replicaWith({});
  const [one, other] = [opened(replica, 0, "1"), opened(replica, 0, "2")];

  const first = ask(replica, 0, command(one, 1, "pay", keyed("k")));
  const second = ask(replica, 5000, command(other, 1, "pay", keyed("k")));

  expect(second).toEqual(first);
  expect(replica.machine.lines).toHaveLength(1);
});

test("the reply says when its key will be forgotten", () => {
  const replica = replicaWith({ idempotency: { retentionMs: 60_000 } });
  const session = opened(replica, 1000, "n");

  const reply = ask(replica, 1000, command(session, 1, "pay", keyed("k")));
  const plain = ask(replica, 1000, command(session, 2, "pay"));

  expect(reply).toMatchObject({ status: "ok", expiresAt: 61_000 });
  expect(plain).toMatchObject({ status: "ok", expiresAt: undefined });
});

test("another body under the same key is a conflict, and the number is spent on it", () => {
  const replica = replicaWith({});
  const session = opened(replica, 0, "n");
  ask(replica, 0, command(session, 1, "pay 5", keyed("k", 1)));

  const conflict = ask(replica, 0, command(session, 2, "pay 6", keyed("k", 2)));
  const next = ask(replica, 0, command(session, 3, "pay 7"));

  expect(conflict).toEqual({ status: "refused", refusal: { code: "IDEMPOTENCY_CONFLICT", key: "k" } });
  expect(ask(replica, 0, command(session, 2, "pay 6", keyed("k", 2)))).toEqual(conflict);
  expect(textOf(next)).toBe("2");
});

test("the same key of another principal is another key", () => {
  const replica = replicaWith({});
  const session = opened(replica, 0, "n");

  ask(replica, 0, command(session, 1, "a", keyed("k", 1, "ann")));
  ask(replica, 0, command(session, 2, "b", keyed("k", 2, "bob")));
  ask(replica, 0, command(session, 3, "c", keyed("bk", 3, "an")));
  ask(replica, 0, command(session, 4, "d", keyed("k", 4, "anb")));

  expect(replica.machine.lines).toHaveLength(4);
});

test("two requests under one key in the same entry run once and are answered alike, in both sessions (X7)", () => {
  const replica = replicaWith({});
  const [one, other] = [opened(replica, 0, "1"), opened(replica, 0, "2")];

  const executed = execute(replica, 0, [
    command(one, 1, "pay", keyed("k")),
    command(other, 1, "pay", keyed("k")),
    command(other, 2, "pay", keyed("k", 2)),
  ]);

  expect(executed.map(({ reply }) => textOf(reply))).toEqual(["1", "1", "IDEMPOTENCY_CONFLICT"]);
  expect(executed.map(({ repeated }) => repeated)).toEqual([false, true, false]);
  expect(textOf(replica.executor.sessions.storedReply(other, command(other, 1, "").number))).toBe("1");
});

test("when all keys are held a new one is refused, an old one still answered, none given up early", () => {
  const replica = replicaWith({ idempotency: { keysMax: 2, retentionMs: 10_000 } });
  const session = opened(replica, 0, "n");
  ask(replica, 0, command(session, 1, "a", keyed("1")), command(session, 2, "b", keyed("2")));

  const full = ask(replica, 9999, command(session, 3, "c", keyed("3")));
  const held = ask(replica, 9999, command(session, 4, "a", keyed("1")));
  const unkeyed = ask(replica, 9999, command(session, 5, "d"));

  expect(full).toEqual({ status: "refused", refusal: { code: "IDEMPOTENCY_FULL", limit: 2 } });
  expect(textOf(held)).toBe("1");
  expect(textOf(unkeyed)).toBe("3");
});

test("a key is forgotten when its time is up, and then may be used for anything", () => {
  const replica = replicaWith({ idempotency: { keysMax: 1, retentionMs: 10_000 } });
  const session = opened(replica, 0, "n");
  ask(replica, 0, command(session, 1, "a", keyed("1")));

  const again = ask(replica, 10_000, command(session, 2, "b", keyed("1", 2)));

  expect(textOf(again)).toBe("2");
  expect(replica.executor.statistics.idempotencyKeys).toBe(1);
});

test("keys due at once are forgotten a bounded number per entry, and one that waits for its turn counts for nobody", () => {
  const replica = replicaWith({ idempotency: { retentionMs: 10_000, expirationsPerEntryMax: 2 } });
  const session = opened(replica, 0, "n");
  for (let at = 1; at <= 7; at += 1) ask(replica, 0, command(session, at, "a", keyed(`${at}`)));

  const late = execute(replica, 10_000, [command(session, 8, "b", keyed("7", 2))])[0]?.reply;
  const held = [replica.executor.statistics.idempotencyKeys];
  for (let entry = 0; entry < 2; entry += 1) {
    execute(replica, 10_000, []);
    held.push(replica.executor.statistics.idempotencyKeys);
  }

  expect(textOf(late)).toBe("8");
  expect(held).toEqual([5, 3, 1]);
});

test("bytes of replies are bounded too: beyond the limit new keys are refused until some expire", () => {
  const replica = replicaWith({ idempotency: { bytesMax: 1000, retentionMs: 10_000 } });
  const session = opened(replica, 0, "n");
  ask(replica, 0, command(session, 1, "1000", { name: "large", ...keyed("1") }));

  expect(textOf(ask(replica, 1, command(session, 2, "a", keyed("2"))))).toBe("IDEMPOTENCY_FULL");
  expect(textOf(ask(replica, 10_000, command(session, 3, "a", keyed("2"))))).toBe("1");
});

test("a rejection and a failure are held like an output", () => {
  const replica = replicaWith({});
  const session = opened(replica, 0, "n");

  const rejected = ask(replica, 0, command(session, 1, "a", { name: "refuse", ...keyed("1") }));
  const failed = ask(replica, 0, command(session, 2, "b", { name: "throw", ...keyed("2") }));

  expect(ask(replica, 0, command(session, 3, "a", { name: "refuse", ...keyed("1") }))).toEqual(rejected);
  expect(ask(replica, 0, command(session, 4, "b", { name: "throw", ...keyed("2") }))).toEqual(failed);
});
