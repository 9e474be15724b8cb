/**
 * An order without consensus: entries made of requests, executed by an executor over a journal machine.
 *
 * For tests of sessions and execution: what is ordered is decided by the test, everything behind it is the real code.
 */
import { defaultLimits, type ReplicatedLimits } from "../src/api/config.js";
import { encodeUtf8 } from "../src/base/bytes.js";
import { Executor, type Executed } from "../src/execution/executor.js";
import type { Entry, EntryKind } from "../src/model/entry.js";
import { logIndex, requestNumber, sessionId, term, type RequestNumber, type SessionId } from "../src/model/ids.js";
import type { CommandRequest, IdempotencyKey, Reply, Request } from "../src/model/request.js";
import { nodeHash } from "../src/node/hash.js";
import { encodeBatch, encodeRequest } from "../src/wire/request-codec.js";
import { JournalMachine } from "./journal-machine.js";

export interface OrderedReplica {
  readonly machine: JournalMachine;
  readonly executor: Executor;
}

/** Nothing is due later. */
export const noAuditMs = 1_000_000_000_000;

type PartialLimits = { readonly [Section in keyof ReplicatedLimits]?: Partial<ReplicatedLimits[Section]> };

export function limitsWith({
  checkpoints,
  sessions,
  idempotency,
  lease,
  machine,
  audit,
}: PartialLimits): ReplicatedLimits {
  return {
    checkpoints: { ...defaultLimits.checkpoints, ...checkpoints },
    sessions: { ...defaultLimits.sessions, ...sessions },
    idempotency: { ...defaultLimits.idempotency, ...idempotency },
    lease: { ...defaultLimits.lease, ...lease },
    machine: { ...defaultLimits.machine, ...machine },
    // What is due by time is what a test asks for: no position is, unless it says so.
    audit: { ...defaultLimits.audit, everyCommands: 1_000_000, everyMs: noAuditMs, ...audit },
  };
}

export function replicaWith(limits: PartialLimits): OrderedReplica {
  const machine = new JournalMachine();
  return {
    machine,
    executor: new Executor({ machine, hash: nodeHash, limits: limitsWith(limits), founders: { members: [] } }),
  };
}

/** Executes as one entry, at the agreed time `time`, after everything before. */
export function execute(replica: OrderedReplica, time: number, requests: readonly Request[]): readonly Executed[] {
  return replica.executor.execute(entryOf(replica.executor.executedIndex + 1, time, requests));
}

/** Executes each request as an entry of its own and answers the reply of the last. */
export function ask(replica: OrderedReplica, time: number, ...requests: Request[]): Reply {
  let last: Reply | undefined;
  for (const request of requests) last = execute(replica, time, [request])[0]?.reply;
  if (last === undefined) throw new Error("nothing was asked");
  return last;
}

export function opened(replica: OrderedReplica, time: number, nonce: string): SessionId {
  const reply = ask(replica, time, { kind: "open", nonce, principal: "p" });
  if (reply.status !== "opened") throw new Error(`not opened: ${reply.status}`);
  return reply.session;
}

export function entryOf(index: number, time: number, requests: readonly Request[]): Entry {
  return rawEntry(index, time, { kind: "batch", payload: encodeBatch(requests.map(encodeRequest)) });
}

export function rawEntry(
  index: number,
  time: number,
  what: { readonly kind: EntryKind; readonly payload?: Uint8Array },
): Entry {
  const [at, inTerm] = [logIndex(index), term(1)];
  if (at === undefined || inTerm === undefined) throw new Error(`no index: ${index}`);
  return { index: at, term: inTerm, time, kind: what.kind, payload: what.payload ?? new Uint8Array(0) };
}

export interface CommandOptions {
  readonly name?: string;
  readonly acknowledgedBelow?: number;
  readonly idempotency?: IdempotencyKey;
}

export function command(
  session: SessionId,
  number: number,
  text: string,
  options: CommandOptions = {},
): CommandRequest {
  return {
    kind: "command",
    session,
    number: numberOf(number),
    acknowledgedBelow: numberOf(options.acknowledgedBelow ?? 1),
    name: options.name ?? "append",
    input: encodeUtf8(text),
    idempotency: options.idempotency,
  };
}

export function resolve(session: SessionId, number: number): Request {
  return { kind: "resolve", session, number: numberOf(number) };
}

export function keepAlive(session: SessionId, acknowledgedBelow: number): Request {
  return { kind: "keepAlive", session, acknowledgedBelow: numberOf(acknowledgedBelow) };
}

export function numberOf(value: number): RequestNumber {
  const number = requestNumber(value);
  if (number === undefined) throw new Error(`no request number: ${value}`);
  return number;
}

export function sessionOf(value: number): SessionId {
  const session = sessionId(value);
  if (session === undefined) throw new Error(`no session: ${value}`);
  return session;
}

/** The text of an `ok` output; anything else as its status or code, so that replies compare in one line. */
export function textOf(reply: Reply | undefined): string {
  if (reply === undefined) return "nothing";
  if (reply.status === "ok") return String.fromCharCode(...reply.output);
  if (reply.status === "refused") return reply.refusal.code;
  if (reply.status === "resolved") {
    return reply.outcome.kind === "executed" ? `executed ${textOf(reply.outcome.reply)}` : "tombstoned";
  }
  return reply.status;
}
