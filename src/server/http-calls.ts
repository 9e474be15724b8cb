/**
 * Commands and queries over HTTP: JSON in, the machine's answer out.
 *
 * Owns: the walk of one call from body to answer, its limits and its patience. Leaves to others: routes (`http.ts`), the JSON
 * convention (`machine-json.ts`), the statuses (`http-answers.ts`), retries and sessions (the door).
 */
import type { Read } from "../api/client-types.js";
import type { Door, DoorIdempotency } from "../api/door.js";
import type { LowLevelMachine } from "../api/low-level.js";
import { readLevelOf } from "../client/read-level.js";
import type { ReadLevel } from "../model/request.js";
import { encodeValue, NotCanonical } from "../wire/canonical.js";
import { answerOfOutcome, answerOfQuery, refusedAnswer, unknownAnswer, type HttpAnswer } from "./http-answers.js";
import { readMachineJson } from "./machine-json.js";
import { didYouMean } from "./suggestion.js";

export interface HttpCallParts {
  readonly machine: LowLevelMachine;
  readonly door: Door;
  readonly bodyBytesMax: number;
  readonly jsonDepthMax: number;
  readonly callsPendingMax: number;
  /** After this the answer is "unknown" (a command) or 503 (a query). */
  readonly callMsMax: number;
}

export interface HttpCalls {
  command(name: string, request: Request): Promise<HttpAnswer>;
  query(name: string, request: Request): Promise<HttpAnswer>;
  /** Calls in progress. */
  readonly pending: number;
}

/** All callers of this door share one principal, since nobody is authenticated: a key means the same for all of them. */
const principal = "http";

export function openHttpCalls(parts: HttpCallParts): HttpCalls {
  let pending = 0;
  const bounded = async (call: () => Promise<HttpAnswer>): Promise<HttpAnswer> => {
    if (pending >= parts.callsPendingMax) {
      return refusedAnswer(
        503,
        "OVERLOADED",
        `Cannot take the request: ${pending} are in progress and the limit is ${parts.callsPendingMax}`,
      );
    }
    pending += 1;
    try {
      return await call();
    } finally {
      pending -= 1;
    }
  };
  return {
    command: (name, request) => bounded(() => runCommand(parts, name, request)),
    query: (name, request) => bounded(() => runQuery(parts, name, request)),
    get pending() {
      return pending;
    },
  };
}

async function runCommand(parts: HttpCallParts, name: string, request: Request): Promise<HttpAnswer> {
  const { machine, door, callMsMax } = parts;
  if (!machine.commandNames.includes(name)) return unknownName("command", name, machine);
  const idempotency = readIdempotencyKey(request.headers.get("Idempotency-Key"));
  if (idempotency === "invalid") {
    return refusedAnswer(
      400,
      "INVALID_INPUT",
      "Cannot use the Idempotency-Key: expected 1 to 255 printable ASCII characters",
    );
  }
  const input = await readInput(parts, request);
  if ("status" in input) return input;
  const admitted = await machine.admit(name, input.bytes);
  if (admitted.status === "invalid") return refusedAnswer(400, "INVALID_INPUT", admitted.message);
  const outcome = await within(callMsMax, door.command(name, admitted.input, idempotency));
  if (outcome === "late")
    return unknownAnswer(`No answer within ${callMsMax} ms: the command may or may not have been executed`);
  return answerOfOutcome(outcome);
}

async function runQuery(parts: HttpCallParts, name: string, request: Request): Promise<HttpAnswer> {
  const { machine, door, callMsMax } = parts;
  if (!machine.queryNames.includes(name)) return unknownName("query", name, machine);
  const read = readLevelIn(new URL(request.url).searchParams);
  if (typeof read === "string") return refusedAnswer(400, "INVALID_INPUT", read);
  const input = await readInput(parts, request);
  if ("status" in input) return input;
  const admitted = await machine.admit(name, input.bytes);
  if (admitted.status === "invalid") return refusedAnswer(400, "INVALID_INPUT", admitted.message);
  const answer = await within(callMsMax, door.query(name, admitted.input, read));
  if (answer === "late")
    return refusedAnswer(
      503,
      "NO_LEADER",
      `Cannot answer the query: nobody could tell within ${callMsMax} ms that the answer is fresh enough`,
    );
  return answerOfQuery(answer);
}

function unknownName(kind: "command" | "query", name: string, machine: LowLevelMachine): HttpAnswer {
  const shown = name.slice(0, 64);
  const [own, other] =
    kind === "command" ? [machine.commandNames, machine.queryNames] : [machine.queryNames, machine.commandNames];
  const hint = other.includes(name)
    ? ` It is a ${kind === "command" ? "query: POST /v1/queries" : "command: POST /v1/commands"}/${shown}`
    : didYouMean(shown, own);
  return refusedAnswer(
    404,
    "UNKNOWN_COMMAND",
    `Cannot execute ${shown}: the machine ${machine.name} has no such ${kind}.${hint}`,
  );
}

/** `?read=local`, `?atLeast=12`, `?maxStalenessMs=500`: the client's own words. */
function readLevelIn(parameters: URLSearchParams): ReadLevel | string {
  const [first, ...others] = [...parameters].filter(([key]) => readParameters.includes(key));
  if (others.length > 0) return `Cannot read: give one of ${readParameters.join(", ")}`;
  const [key, value] = first ?? ["read", "linearizable"];
  if (key === "read") return readLevelOf(value as Read);
  const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  return readLevelOf(key === "atLeast" ? { atLeast: number } : { maxStalenessMs: number });
}

const readParameters: readonly string[] = ["read", "atLeast", "maxStalenessMs"];

function readIdempotencyKey(header: string | null): DoorIdempotency | undefined | "invalid" {
  if (header === null) return undefined;
  return /^[\x21-\x7e]{1,255}$/.test(header) ? { principal, key: header } : "invalid";
}

async function readInput(parts: HttpCallParts, request: Request): Promise<{ readonly bytes: Uint8Array } | HttpAnswer> {
  const body = await readBody(request, parts.bodyBytesMax);
  if (body === "too large") {
    return refusedAnswer(
      413,
      "TOO_LARGE",
      `Cannot take the request: its body is larger than ${parts.bodyBytesMax} bytes`,
    );
  }
  if (body === "cut off") return refusedAnswer(400, "INVALID_INPUT", "Cannot read the body: it ended early");
  if (body === "not text") return refusedAnswer(400, "INVALID_INPUT", "Cannot read the body: it is not UTF-8");
  const reading = readMachineJson(body.text, parts.jsonDepthMax);
  if (reading.status === "invalid") return refusedAnswer(400, "INVALID_INPUT", reading.message);
  try {
    return { bytes: encodeValue(reading.value) };
  } catch (cause) {
    if (!(cause instanceof NotCanonical)) throw cause;
    return refusedAnswer(400, "INVALID_INPUT", cause.message);
  }
}

/** Stops reading at the limit: a sender's `Content-Length` is a claim. */
async function readBody(
  request: Request,
  bytesMax: number,
): Promise<{ readonly text: string } | "too large" | "not text" | "cut off"> {
  if (Number(request.headers.get("Content-Length") ?? 0) > bytesMax) return "too large";
  if (request.body === null) return { text: "" };
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let length = 0;
  try {
    for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
      length += chunk.length;
      if (length > bytesMax) return "too large";
      const decoded = decodeText(decoder, chunk);
      if (decoded === undefined) return "not text";
      text += decoded;
    }
  } catch {
    // The sender went away: whatever we answer, nobody reads it.
    return "cut off";
  }
  const rest = decodeText(decoder, undefined);
  return rest === undefined ? "not text" : { text: text + rest };
}

function decodeText(decoder: InstanceType<typeof TextDecoder>, chunk: Uint8Array | undefined): string | undefined {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch (cause) {
    if (cause instanceof TypeError) return undefined;
    throw cause;
  }
}

async function within<Result>(msMax: number, result: Promise<Result>): Promise<Result | "late"> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), msMax);
  });
  try {
    return await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}
