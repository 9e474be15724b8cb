import { expect, test } from "vitest";

import {
  logIndex,
  requestNumber,
  sessionId,
  type LogIndex,
  type RequestNumber,
  type SessionId,
} from "../../../src/model/ids.js";
import { Reads } from "../../../src/replica/reads.js";
import { Waiting } from "../../../src/replica/waiting.js";

const session = sessionId(1) as SessionId;
const at = (value: number) => logIndex(value) as LogIndex;
const command = (value: number) =>
  ({ kind: "command", session, number: requestNumber(value) as RequestNumber }) as const;
const bytes = new Uint8Array(1);
const query = (id: number, since = 0) => ({ connection: 1, id, name: "get", input: bytes, since });

test("a request that is asked twice waits once, for the connection that asked last", () => {
  const waiting = new Waiting();
  expect(waiting.add({ key: command(1), bytes, connection: 7 })).toBe(true);
  expect(waiting.add({ key: command(1), bytes, connection: 8 })).toBe(false);

  expect([waiting.count, waiting.countOf(7), waiting.countOf(8)]).toEqual([1, 0, 1]);
  expect(waiting.take(command(1))?.connection).toBe(8);
  expect(waiting.take(command(1))).toBeUndefined();
  expect([waiting.count, waiting.countOf(8)]).toEqual([0, 0]);
});

test("what waits goes out again in the order in which it came", () => {
  const waiting = new Waiting();
  for (const value of [1, 2, 3, 4]) waiting.add({ key: command(value), bytes, connection: 7 });
  waiting.take(command(2));

  expect([...waiting.all()].map(({ key }) => key)).toEqual([command(1), command(3), command(4)]);
});

test("what ends a number or a session goes out again after the commands that it ends", () => {
  const waiting = new Waiting();
  const resolve = { kind: "resolve", session, number: requestNumber(1) as RequestNumber } as const;
  for (const key of [{ kind: "close", session } as const, resolve, command(1)]) {
    waiting.add({ key, bytes, connection: 7 });
  }

  expect([...waiting.all()].map(({ key }) => key.kind)).toEqual(["command", "resolve", "close"]);
});

test("ten thousand connections that close at once while everything waits do not stop the replica", () => {
  const waiting = new Waiting();
  for (let connection = 1; connection <= 10_000; connection += 1) {
    const of = sessionId(connection) as SessionId;
    for (let value = 1; value <= 13; value += 1) {
      waiting.add({ key: { ...command(value), session: of }, bytes, connection });
    }
  }
  const start = performance.now();
  for (let connection = 1; connection <= 10_000; connection += 1) waiting.dropConnection(connection);

  expect(performance.now() - start).toBeLessThan(2_000);
  expect([waiting.count, waiting.bytes]).toEqual([0, 0]);
});

test("a connection that closes takes its requests along, and no others", () => {
  const waiting = new Waiting();
  waiting.add({ key: command(1), bytes, connection: 7 });
  waiting.add({ key: { kind: "open", nonce: "n" }, bytes, connection: 8 });
  waiting.add({ key: { kind: "resolve", session, number: requestNumber(1) as RequestNumber }, bytes, connection: 7 });
  waiting.dropConnection(7);

  expect([...waiting.all()].map(({ connection }) => connection)).toEqual([8]);
});

test("queries of one turn share a barrier, and are answered once execution has reached its index", () => {
  const reads = new Reads();
  reads.add(query(1));
  reads.add(query(2));
  const barrier = reads.nextBarrier() ?? -1;
  reads.add(query(3));
  reads.onPassed(barrier, at(10));

  expect(reads.takeReady(at(9))).toEqual([]);
  expect(reads.takeReady(at(10)).map(({ id }) => id)).toEqual([1, 2]);
  expect(reads.count).toBe(1);
});

test("L4: a barrier that failed is asked for under a new number, and its late answer is nobody's", () => {
  const reads = new Reads();
  reads.add(query(1));
  const first = reads.nextBarrier() ?? -1;
  reads.onFailed(first);
  expect(reads.nextBarrier()).toBeUndefined();
  reads.release();
  const second = reads.nextBarrier() ?? -1;
  reads.onPassed(first, at(5));

  expect(second).not.toBe(first);
  expect(reads.takeReady(at(100))).toEqual([]);
  reads.onPassed(second, at(6));
  expect(reads.takeReady(at(100)).map(({ id }) => id)).toEqual([1]);
});

test("L6: a query that no leader takes is given back once it is too old", () => {
  const reads = new Reads();
  reads.add(query(1, 0));
  reads.add(query(2, 50));

  expect(reads.takeOlderThan(10).map(({ id }) => id)).toEqual([1]);
  expect(reads.count).toBe(1);
});
