/**
 * What an answer becomes: an output, a result of `$try`, or an error that is thrown.
 *
 * Owns: reading canonical form into values, and the table from ends to errors (`api/errors.ts`). Called by `create-client.ts` and
 * `running-client.ts`.
 */
import {
  CommandFailed,
  CommandRejected,
  InvalidInput,
  OutcomeUnknown,
  RequestRefused,
  type OutcomeToken,
  type Refusal,
} from "../api/errors.js";
import type { Resolution } from "../client/outcome.js";
import { DecodeFailure, decodeValue } from "../wire/canonical.js";

/** Every end of a call, before it becomes a result or an error. */
export type End =
  | { readonly status: "ok"; readonly output: unknown; readonly index: number; readonly ageMs: number }
  | { readonly status: "rejected"; readonly code: string; readonly data: unknown; readonly index: number }
  | { readonly status: "failed"; readonly message: string; readonly index: number }
  | { readonly status: "refused"; readonly refusal: Refusal }
  | { readonly status: "unknown"; readonly token: OutcomeToken; readonly reason: string }
  | { readonly status: "invalid"; readonly message: string };

export function outputOf(name: string, end: End): unknown {
  return okOf(name, end).output;
}

export function detailOf(name: string, end: End): unknown {
  const { output, index, ageMs } = okOf(name, end);
  return { output, index, ageMs };
}

function okOf(name: string, end: End): Extract<End, { readonly status: "ok" }> {
  switch (end.status) {
    case "ok":
      return end;
    case "rejected":
      throw new CommandRejected(name, end);
    case "failed":
      throw new CommandFailed(name, end);
    case "refused":
      throw new RequestRefused(name, end.refusal);
    case "unknown":
      throw new OutcomeUnknown(name, end);
    case "invalid":
      throw new InvalidInput(`Cannot do ${name}: ${end.message}`);
  }
}

export function tryResultOf(end: End): unknown {
  switch (end.status) {
    case "ok":
      return { status: "ok", output: end.output, index: end.index };
    case "refused":
      return { status: "refused", code: end.refusal.code, refusal: end.refusal };
    case "invalid":
      return { status: "refused", code: "INVALID_INPUT", refusal: { code: "INVALID_INPUT", message: end.message } };
    case "rejected":
    case "failed":
    case "unknown":
      return end;
  }
}

type Executed =
  | { readonly status: "ok"; readonly output: Uint8Array }
  | { readonly status: "rejected"; readonly code: string; readonly data: Uint8Array }
  | { readonly status: "failed"; readonly message: string };

export function executedEnd(
  name: string,
  executed: Executed,
  at: { readonly index: number; readonly ageMs: number },
): End {
  const { index, ageMs } = at;
  switch (executed.status) {
    case "ok":
      return { status: "ok", output: readValueOf(name, executed.output), index, ageMs };
    case "rejected":
      return { status: "rejected", code: executed.code, data: readValueOf(name, executed.data), index };
    case "failed":
      return { status: "failed", message: executed.message, index };
  }
}

/** Replicas only store what has a canonical form, so this fails only if one of them is broken. */
export function readValueOf(name: string, bytes: Uint8Array): unknown {
  const value = decodeValue(bytes);
  if (value instanceof DecodeFailure) throw new Error(`Cannot read the answer to ${name}: ${value.reason}`);
  return value;
}

export function resolvedResultOf(resolution: Resolution): unknown {
  switch (resolution.status) {
    case "executed": {
      const { reply, index } = resolution;
      if (reply === undefined) return { status: "executed", outcome: undefined, index };
      const end = executedEnd("the resolved command", reply, { index, ageMs: 0 });
      return { status: "executed", outcome: withoutPosition(end), index };
    }
    case "refused":
      return { status: "refused", code: resolution.refusal.code, refusal: resolution.refusal };
    case "notExecuted":
    case "lost":
      return resolution;
  }
}

function withoutPosition(end: End): unknown {
  if (end.status === "ok") return { status: "ok", output: end.output };
  if (end.status === "rejected") return { status: "rejected", code: end.code, data: end.data };
  return end.status === "failed" ? { status: "failed", message: end.message } : undefined;
}
