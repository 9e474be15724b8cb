/**
 * Looking at an input before it is ordered, by the schema that its command was declared with.
 *
 * Owns: the one call of validators. They run at the replica that a client talks to, never while executing, so they may take time and
 * look at clocks. What is ordered is what they return.
 */
import type { AdmitOutcome, LowLevelMachine } from "../api/low-level.js";
import type { SchemaIssue, SchemaResult, StandardSchema } from "../api/standard-schema.js";
import { DecodeFailure, decodeValue, encodeValueToSend, NotCanonical } from "../wire/canonical.js";

export function admitInput(
  schema: StandardSchema | undefined,
  input: Uint8Array,
): ReturnType<LowLevelMachine["admit"]> {
  if (schema === undefined) return { status: "admitted", input };
  const value = decodeValue(input);
  if (value instanceof DecodeFailure) return invalid(value.reason);
  try {
    const result = schema["~standard"].validate(value);
    return "then" in result ? result.then(admittedOf, validatorFailed) : admittedOf(result);
  } catch (cause) {
    return validatorFailed(cause);
  }
}

function admittedOf(result: SchemaResult<unknown>): AdmitOutcome {
  if (result.issues !== undefined) return invalid(result.issues.slice(0, 10).map(describeIssue).join("; "));
  try {
    return { status: "admitted", input: encodeValueToSend(result.value) };
  } catch (cause) {
    if (cause instanceof NotCanonical) return invalid(`the schema returned what is not plain data: ${cause.message}`);
    throw cause;
  }
}

function validatorFailed(cause: unknown): AdmitOutcome {
  return invalid(`the schema threw: ${cause instanceof Error ? cause.message : String(cause)}`);
}

function describeIssue({ message, path }: SchemaIssue): string {
  const steps = (path ?? []).map((step) => String(typeof step === "object" ? step.key : step));
  return steps.length === 0 ? message : `${steps.join(".")}: ${message}`;
}

function invalid(message: string): AdmitOutcome {
  return { status: "invalid", message };
}
