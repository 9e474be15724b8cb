import { expect, test } from "vitest";

import { defaultLimits } from "../../../src/api/config.js";
import {
  logIndex,
  requestNumber,
  sessionId,
  type LogIndex,
  type RequestNumber,
  type SessionId,
} from "../../../src/model/ids.js";
import type { RequestKey } from "../../../src/model/request.js";
import { Freshness } from "../../../src/replica/freshness.js";
import { QueryAnswers } from "../../../src/replica/query-answers.js";
import { Reads } from "../../../src/replica/reads.js";
import { Waiting } from "../../../src/replica/waiting.js";

const session = sessionId(1) as SessionId;
const at = (value: number) => logIndex(value) as LogIndex;
const command = (value: number) =>
  ({ kind: "command", session, number: requestNumber(value) as RequestNumber }) as const;
const bytes = new Uint8Array(1);
const read = { kind: "linearizable" } as const;
const asked = (key: RequestKey, connection: number, size = 1) => ({ key, size, queued: undefined, connection });
const query = (id: number, since = 0) => ({ connection: 1, id, name: "get", input: bytes, read, since });

test("a request that is asked twice waits once, for the connection that asked last", () => {
  const waiting = new Waiting();
  const first = asked(command(1), 7);
  expect(waiting.add(first)).toBeUndefined();
  expect(waiting.add(asked(command(1), 8))).toBe(first);

  expect([waiting.count, waiting.countOf(7), waiting.countOf(8)]).toEqual([1, 0, 1]);
  expect(waiting.take(command(1))?.connection).toBe(8);
  expect(waiting.take(command(1))).toBeUndefined();
  expect([waiting.count, waiting.countOf(8)]).toEqual([0, 0]);
});

test("a connection's requests are bounded in bytes, whatever others wait for", () => {
  const waiting = new Waiting();
  const limits = { ...defaultLimits.admission, waitingBytesPerConnectionMax: 10 };
  waiting.add(asked(command(1), 7, 9));
  expect(waiting.pressure(7, limits)).toBeUndefined();
  waiting.add(asked(command(2), 7, 9));

  expect(waiting.pressure(7, limits)).toEqual({ code: "OVERLOADED", queued: 18, limit: 10 });
  expect(waiting.pressure(8, limits)).toBeUndefined();
  // Asked again elsewhere: it weighs on the other connection.
  waiting.add(asked(command(2), 8, 9));
  expect(waiting.pressure(7, limits)).toBeUndefined();
  waiting.take(command(1));
  waiting.dropConnection(8);
  expect([waiting.count, waiting.bytes]).toEqual([0, 0]);
});

test("the bytes of queries are counted until they are given back", () => {
  const reads = new Reads();
  const of = (id: number, length: number) => ({ ...query(id), input: new Uint8Array(length) });
  reads.add(of(1, 5));
  reads.addAt(at(3), of(2, 7));
  reads.addAt(at(0), of(3, 11));

  expect(reads.bytes).toBe(23);
  expect(reads.takeReady(at(3)).map(({ id }) => id)).toEqual([3, 2]);
  expect(reads.bytes).toBe(5);
  reads.takeOlderThan(Infinity);
  expect([reads.count, reads.bytes]).toEqual([0, 0]);
});

test("what waits goes out again in the order in which it came", () => {
  const waiting = new Waiting();
  for (const value of [1, 2, 3, 4]) waiting.add(asked(command(value), 7));
  waiting.take(command(2));

  expect([...waiting.all()].map(({ key }) => key)).toEqual([command(1), command(3), command(4)]);
});

test("what ends a number or a session goes out again after the commands that it ends", () => {
  const waiting = new Waiting();
  const resolve = { kind: "resolve", session, number: requestNumber(1) as RequestNumber } as const;
  for (const key of [{ kind: "close", session } as const, resolve, command(1)]) {
    waiting.add(asked(key, 7));
  }

  expect([...waiting.all()].map(({ key }) => key.kind)).toEqual(["command", "resolve", "close"]);
});

test("ten thousand connections that close at once while everything waits do not stop the replica", () => {
  const waiting = new Waiting();
  for (let connection = 1; connection <= 10_000; connection += 1) {
    const of = sessionId(connection) as SessionId;
    for (let value = 1; value <= 13; value += 1) {
      waiting.add(asked({ ...command(value), session: of }, connection));
    }
  }
  const start = performance.now();
  for (let connection = 1; connection <= 10_000; connection += 1) waiting.dropConnection(connection);

  expect(performance.now() - start).toBeLessThan(2_000);
  expect([waiting.count, waiting.bytes]).toEqual([0, 0]);
});

test("a connection that closes takes its requests along, and no others", () => {
  const waiting = new Waiting();
  waiting.add(asked(command(1), 7));
  waiting.add(asked({ kind: "open", nonce: "n" }, 8));
  waiting.add(asked({ kind: "resolve", session, number: requestNumber(1) as RequestNumber }, 7));
  waiting.dropConnection(7);

  expect([...waiting.all()].map(({ connection }) => connection)).toEqual([8]);
});

test("queries of one turn share a barrier, and are answered once execution has reached its index", () => {
  const reads = new Reads();
  reads.add(query(1));
  reads.add(query(2));
  const barrier = reads.nextBarrier(0, 500)?.id ?? -1;
  reads.add(query(3));
  reads.onPassed(barrier, at(10), undefined);

  expect(reads.takeReady(at(9))).toEqual([]);
  expect(reads.takeReady(at(10)).map(({ id }) => id)).toEqual([1, 2]);
  expect(reads.count).toBe(1);
});

test("L4: a barrier that failed is asked for under a new number, and its late answer is nobody's", () => {
  const reads = new Reads();
  reads.add(query(1));
  const first = reads.nextBarrier(0, 500)?.id ?? -1;
  reads.onFailed(first);
  expect(reads.nextBarrier(0, 500)).toBeUndefined();
  reads.release();
  const second = reads.nextBarrier(0, 500)?.id ?? -1;
  reads.onPassed(first, at(5), undefined);

  expect(second).not.toBe(first);
  expect(reads.takeReady(at(100))).toEqual([]);
  reads.onPassed(second, at(6), undefined);
  expect(reads.takeReady(at(100)).map(({ id }) => id)).toEqual([1]);
});

test("L6: a query that no leader takes is given back once it is too old", () => {
  const reads = new Reads();
  reads.add(query(1, 0));
  reads.add(query(2, 50));

  expect(reads.takeOlderThan(10).map(({ id }) => id)).toEqual([1]);
  expect(reads.count).toBe(1);
});

test("L3: what was read by a lease that ended meanwhile is not answered, and asked again", () => {
  let now = 10;
  const answered: number[] = [];
  const again: number[] = [];
  const executor = {
    events: () => undefined,
    query: () => {
      now += 5; // As long as the process stood still.
      return { status: "ok" as const, output: bytes };
    },
  };
  const answers = new QueryAnswers({
    executor,
    isCongested: () => false,
    clock: { monotonic: () => now },
    ageMs: () => 0,
    answer: (_connection, message) => void (message.kind === "queryReply" && answered.push(message.id)),
    unproved: ({ id }) => void again.push(id),
  });

  answers.give([{ ...query(1), until: 16 }, { ...query(2), until: 20 }, query(3)], at(1));

  expect([answered, again]).toEqual([[1, 3], [2]]);
});

test("the age of what is executed counts from when a barrier was asked for, once its index is executed", () => {
  const freshness = new Freshness();
  expect(freshness.ageMs(100)).toBe(Infinity);

  freshness.note({ index: at(5), askedAt: 100 });
  freshness.note({ index: at(7), askedAt: 150 });
  freshness.executed(at(4));
  expect(freshness.ageMs(200)).toBe(Infinity);
  freshness.executed(at(6));
  expect(freshness.ageMs(200)).toBe(100);
  freshness.executed(at(7));
  expect(freshness.ageMs(200.5)).toBe(51);
  for (let asked = 0; asked < 1_000; asked += 1) freshness.note({ index: at(9), askedAt: 200 + asked });
  freshness.executed(at(9));

  expect(freshness.ageMs(1_300)).toBe(101);
});

test("without queries a barrier is asked for now and then, and reads by lease have barriers of their own", () => {
  const reads = new Reads();
  expect(reads.nextBarrier(0, 500)).toEqual({ id: 1, byLease: false });
  expect(reads.nextBarrier(499, 500)).toBeUndefined();
  reads.add({ ...query(1), read: { kind: "lease" } });
  reads.add(query(2));
  reads.add({ ...query(3), read: { kind: "lease" } });

  expect(reads.nextBarrier(499, 500)).toEqual({ id: 2, byLease: true });
  expect(reads.nextBarrier(499, 500)).toEqual({ id: 3, byLease: false });
  expect(reads.nextBarrier(998, 500)).toBeUndefined();
  expect(reads.onPassed(2, at(4), 700)).toBe(499);
  expect(reads.onPassed(3, at(3), undefined)).toBe(499);
  expect(reads.takeReady(at(3)).map(({ id, until }) => [id, until])).toEqual([[2, undefined]]);
  expect(reads.takeReady(at(4)).map(({ id, until }) => [id, until])).toEqual([
    [1, 700],
    [3, 700],
  ]);
  expect(reads.count).toBe(0);
});
