/**
 * What a door's outcome is in HTTP: status, body and headers.
 *
 * Owns: the table of docs/reference/http.md. The one key of a body tells its kind: `output`, `rejected`, `failed`, `unknown`
 * or `refused`. Only `refused` promises that nothing was executed. Called by `http-calls.ts`.
 */
import { invariant, unreachable } from "../base/invariant.js";
import type { DoorAnswer, DoorOutcome } from "../api/door.js";
import type { AdmissionRefusal, ExecutedRefusal } from "../model/request.js";
import { DecodeFailure, decodeValue } from "../wire/canonical.js";
import { toMachineJson, type JsonValue } from "./machine-json.js";

export interface HttpAnswer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 413 | 422 | 500 | 503 | 504 | 507;
  readonly body: Readonly<Record<string, JsonValue>>;
  readonly headers: Readonly<Record<string, string>>;
}

export function refusedAnswer(status: HttpAnswer["status"], code: string, message: string): HttpAnswer {
  const headers: Record<string, string> = status === 503 ? { "Retry-After": "1" } : {};
  return { status, body: { refused: code, message }, headers };
}

export function answerOfOutcome(outcome: DoorOutcome): HttpAnswer {
  switch (outcome.status) {
    case "ok":
      return executed(200, { ...outputOf(outcome.output), index: outcome.index }, outcome.expiresAt);
    case "rejected":
      return executed(422, { ...rejectionOf(outcome), index: outcome.index }, outcome.expiresAt);
    case "failed":
      return executed(500, { failed: outcome.message, index: outcome.index }, outcome.expiresAt);
    case "refused":
      return answerOfRefusal(outcome.refusal);
    case "unknown":
      return unknownAnswer(outcome.message);
    default:
      return unreachable(outcome);
  }
}

export function answerOfQuery(answer: DoorAnswer): HttpAnswer {
  if (answer.status === "refused") return answerOfRefusal(answer.refusal);
  const { outcome, index } = answer;
  // JSON has no infinity: nobody knows the age.
  const ageMs = Number.isFinite(answer.ageMs) ? answer.ageMs : null;
  const headers = { "Quorate-Index": String(index), "Quorate-Age-Ms": String(ageMs ?? "unknown") };
  switch (outcome.status) {
    case "ok":
      return { status: 200, body: { ...outputOf(outcome.output), index, ageMs }, headers };
    case "rejected":
      return { status: 422, body: { ...rejectionOf(outcome), index, ageMs }, headers };
    case "failed":
      return { status: 500, body: { failed: outcome.message, index, ageMs }, headers };
    default:
      return unreachable(outcome);
  }
}

/** May or may not have been executed, or still be. */
export function unknownAnswer(message: string): HttpAnswer {
  return {
    status: 504,
    body: { unknown: `${message}. Ask again with the same Idempotency-Key, if there was one, to get the first answer` },
    headers: {},
  };
}

function executed(status: 200 | 422 | 500, body: HttpAnswer["body"], expiresAt: number | undefined): HttpAnswer {
  const headers: Record<string, string> =
    expiresAt === undefined ? {} : { "Idempotency-Expires": new Date(expiresAt).toISOString() };
  return { status, body, headers };
}

/** A command without an output has no `output` key: what `undefined` is in JSON. */
function outputOf(output: Uint8Array): Record<string, JsonValue> {
  const value = decodeOwn(output);
  return value === undefined ? {} : { output: toMachineJson(value) };
}

function rejectionOf(outcome: { readonly code: string; readonly data: Uint8Array }): Record<string, JsonValue> {
  const data = decodeOwn(outcome.data);
  return data === undefined ? { rejected: outcome.code } : { rejected: outcome.code, data: toMachineJson(data) };
}

/** What our own executor encoded. */
function decodeOwn(bytes: Uint8Array): unknown {
  const value = decodeValue(bytes);
  invariant(!(value instanceof DecodeFailure), "an output is in canonical form");
  return value;
}

function answerOfRefusal(refusal: AdmissionRefusal | ExecutedRefusal): HttpAnswer {
  return refusedAnswer(statusOf(refusal.code), refusal.code, explainRefusal(refusal));
}

function statusOf(code: (AdmissionRefusal | ExecutedRefusal)["code"]): HttpAnswer["status"] {
  switch (code) {
    case "IDEMPOTENCY_CONFLICT":
      return 409;
    case "TOO_LARGE":
      return 413;
    case "DISK_FULL":
      return 507;
    case "UNKNOWN_COMMAND":
      return 404;
    case "INVALID_INPUT":
      return 400;
    default:
      return 503;
  }
}

/** For people; programs match on the code. */
function explainRefusal(refusal: AdmissionRefusal | ExecutedRefusal): string {
  switch (refusal.code) {
    case "OVERLOADED":
      return `Cannot take the request: ${refusal.queued} are waiting and the limit is ${refusal.limit}`;
    case "NO_LEADER":
      return "Cannot order the request: this replica knows no leader at the moment";
    case "DISK_FULL":
      return "Cannot take the request: the disk of the leader, or of too many other replicas, is full; queries are answered";
    case "STOPPING":
      return "Cannot take the request: this replica is stopping";
    case "QUARANTINED":
      return "Cannot take the request: this replica differed from the others and is being rebuilt; ask another";
    case "TOO_LARGE":
      return `Cannot take the request: it has ${refusal.bytes} bytes and the limit is ${refusal.limit}`;
    case "UNKNOWN_COMMAND":
      return `Cannot execute ${refusal.name}: the machine has no such command`;
    case "INVALID_INPUT":
      return refusal.message;
    case "INDEX_NOT_REACHED":
      return `Cannot answer the query: it asks for entry ${refusal.asked} and this replica has executed ${refusal.executed}`;
    case "TOO_STALE":
      return `Cannot answer the query: what this replica has may be older than ${refusal.limitMs} ms, and nobody confirms that it is not`;
    case "IDEMPOTENCY_CONFLICT":
      return "Cannot execute the request: this Idempotency-Key was used for another one";
    case "IDEMPOTENCY_FULL":
      return `Cannot keep another Idempotency-Key: ${refusal.limit} are kept and none has expired`;
    default:
      return "Cannot execute the request: the session of this replica's HTTP door was interrupted; nothing was executed";
  }
}
