/**
 * Random orders of duplicated, reordered, retried and settled requests, as two leaders in turn might make them, against a model
 * that is a page long. Fixed seeds; a failure prints the seed and the shrunk order.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { doAll } from "../../src/base/steps.js";
import type { Executed } from "../../src/execution/executor.js";
import type { Request } from "../../src/model/request.js";
import {
  command,
  execute,
  keepAlive,
  noAuditMs,
  replicaWith,
  resolve,
  sessionOf,
  textOf,
} from "../../test-support/order.js";

const sessionCount = 3;

/** What a client may have said: every number always means the same command, whoever repeats it. */
const anyArrival: fc.Arbitrary<Request> = fc
  .record({
    session: fc.integer({ min: 1, max: sessionCount }).map(sessionOf),
    number: fc.integer({ min: 1, max: 12 }),
    acknowledged: fc.integer({ min: 1, max: 12 }),
    kind: fc.constantFrom("command", "command", "command", "command", "command", "resolve", "keepAlive"),
  })
  .map(({ session, number, acknowledged, kind }) => {
    if (kind === "resolve") return resolve(session, number);
    if (kind === "keepAlive") return keepAlive(session, Math.max(1, acknowledged - 6));
    return command(session, number, `${session}/${number}`, {
      acknowledgedBelow: Math.max(1, Math.min(number - 6, acknowledged)),
    });
  });

/** In runs near the next number, so that much of it is executed; jumbled, so that much of it is not. */
const anyOrder = fc
  .array(fc.tuple(anyArrival, fc.integer({ min: 1, max: 3 })), { minLength: 20, maxLength: 120 })
  .map((arrivals) => arrivals.flatMap(([request, copies]) => Array.from({ length: copies }, () => request)));

const anyCuts = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 });

function entriesOf(order: readonly Request[], cuts: readonly number[]): Request[][] {
  const entries: Request[][] = [];
  for (let at = 0, cut = 0; at < order.length; cut += 1) {
    const size = cuts[cut % cuts.length] ?? 1;
    entries.push(order.slice(at, at + size));
    at += size;
  }
  return entries;
}

function openAll(replica: ReturnType<typeof replicaWith>): void {
  for (let nonce = 1; nonce <= sessionCount; nonce += 1) {
    execute(replica, 0, [{ kind: "open", nonce: `${nonce}`, principal: "p" }]);
  }
}

/** The rules once more, written for reading: what each arrival must be answered. */
class Model {
  readonly #next = new Map<number, number>();
  readonly #released = new Map<number, number>();
  readonly #outcomes = new Map<string, string>();
  #runs = 0;

  answer(request: Request): string {
    if (request.kind === "open" || request.kind === "close") throw new Error("not drawn");
    const { session } = request;
    if (request.kind === "keepAlive") {
      this.#release(session, request.acknowledgedBelow);
      return "alive";
    }
    const { number } = request;
    const key = `${session}/${number}`;
    const next = this.#next.get(session) ?? 1;
    const outcome = this.#outcomes.get(key);
    if (request.kind === "resolve") {
      if (number < (this.#released.get(session) ?? 1)) return "REPLY_RELEASED";
      if (outcome === undefined) this.#outcomes.set(key, "TOMBSTONED");
      this.#pass(session);
      return outcome === undefined || outcome === "TOMBSTONED" ? "tombstoned" : `executed ${outcome}`;
    }
    if (number > next) return outcome ?? "OUT_OF_ORDER";
    this.#release(session, request.acknowledgedBelow);
    if (number < (this.#released.get(session) ?? 1)) return "REPLY_RELEASED";
    if (outcome !== undefined) return outcome;
    this.#runs += 1;
    this.#outcomes.set(key, String(this.#runs));
    this.#pass(session);
    return String(this.#runs);
  }

  #pass(session: number): void {
    let next = this.#next.get(session) ?? 1;
    while (this.#outcomes.has(`${session}/${next}`)) next += 1;
    this.#next.set(session, next);
  }

  #release(session: number, below: number): void {
    const next = this.#next.get(session) ?? 1;
    this.#released.set(session, Math.max(this.#released.get(session) ?? 1, Math.min(below, next)));
  }
}

test("every arrival is answered as the rules say, however the order is cut into entries", () => {
  fc.assert(
    fc.property(anyOrder, anyCuts, (order, cuts) => {
      const replica = replicaWith({});
      openAll(replica);
      const model = new Model();

      const executed = entriesOf(order, cuts).flatMap((entry) => [...execute(replica, 1, entry)]);

      expect(executed.map(({ reply }) => textOf(reply))).toEqual(order.map((request) => model.answer(request)));
    }),
    { seed: 61, numRuns: 150 },
  );
});

test("each number runs at most once, in order, and every reply to it is the same", () => {
  fc.assert(
    fc.property(anyOrder, anyCuts, (order, cuts) => {
      const replica = replicaWith({});
      openAll(replica);

      const executed = entriesOf(order, cuts).flatMap((entry) => [...execute(replica, 1, entry)]);

      const ran = replica.machine.lines.map((line) => line.split(":")[1] ?? "");
      expect(new Set(ran).size).toBe(ran.length);
      for (let session = 1; session <= sessionCount; session += 1) {
        const numbers = ran.filter((text) => text.startsWith(`${session}/`)).map((text) => Number(text.split("/")[1]));
        expect(numbers).toEqual([...numbers].sort((left, right) => left - right));
      }
      expect(repliesThatDiffer(executed)).toEqual([]);
    }),
    { seed: 62, numRuns: 100 },
  );
});

test("two replicas that execute the same order are equal after each entry, also when one is restored in the middle", () => {
  fc.assert(
    fc.property(anyOrder, anyCuts, fc.nat(), (order, cuts, middle) => {
      const audit = { everyCommands: 1, reportMs: noAuditMs };
      const limits = { sessions: { sessionsMax: 2, repliesMax: 5 }, audit };
      const one = replicaWith(limits);
      let other = replicaWith(limits);
      for (const replica of [one, other]) openAll(replica);
      const entries = entriesOf(order, cuts);

      entries.forEach((entry, at) => {
        if (at === middle % entries.length) {
          const fork = one.executor.fork();
          other = replicaWith(limits);
          expect(doAll(other.executor.installing({ ...fork, machine: [...fork.machine.chunks()] }))).toBeUndefined();
        }
        expect(execute(other, at, entry)).toEqual(execute(one, at, entry));
        expect(one.executor.audits.due).toBeDefined();
        expect(other.executor.audits.due).toEqual(one.executor.audits.due);
      });
      expect(other.executor.digest()).toEqual(one.executor.digest());
      expect(other.machine.lines).toEqual(one.machine.lines);
    }),
    { seed: 63, numRuns: 100 },
  );
});

/** Requests whose replies by execution are not all alike. */
function repliesThatDiffer(executed: readonly Executed[]): string[] {
  const first = new Map<string, string>();
  const differing: string[] = [];
  for (const { key, reply } of executed) {
    if (key.kind !== "command" || reply.status !== "ok") continue;
    const name = `${key.session}/${key.number}`;
    const before = first.get(name);
    if (before === undefined) first.set(name, textOf(reply));
    else if (before !== textOf(reply)) differing.push(name);
  }
  return differing;
}
