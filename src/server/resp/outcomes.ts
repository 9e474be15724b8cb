/**
 * What a Redis client is told when there is no reply from the machine.
 *
 * Owns: the error codes. The first word tells a program what it may do:
 *
 *     CLUSTERDOWN  surely not executed: no leader, or this replica is stopping; ask again, here or elsewhere
 *     BUSY         surely not executed: a limit is reached; ask again later
 *     ERR          surely not executed, or failed and undone on every replica; asking again gives the same
 *     UNKNOWN      may or may not have been executed, or still be; look before asking again
 */
import type { DoorAnswer, DoorOutcome } from "../../api/door.js";
import { decodeValue, DecodeFailure } from "../../wire/canonical.js";
import type { Reply } from "../../services/kv/redis.js";

type DoorRefusal = Extract<DoorOutcome, { readonly status: "refused" }>["refusal"];

/** What the machine answered, or the error for every command of the request. */
export type Settled =
  /** One for each command, fewer if the request stopped early; `null` for a transaction that was not run. */
  | { readonly kind: "replies"; readonly replies: readonly Reply[] | null }
  | { readonly kind: "error"; readonly text: string };

export function settleCommand(outcome: DoorOutcome): Settled {
  switch (outcome.status) {
    case "ok":
      return settleOutput(outcome.output);
    case "rejected":
      return { kind: "error", text: `ERR the machine rejected the request: ${outcome.code}` };
    case "failed":
      return { kind: "error", text: `ERR the request failed on every replica and changed nothing: ${outcome.message}` };
    case "refused":
      return { kind: "error", text: refusalText(outcome.refusal) };
    case "unknown":
      return { kind: "error", text: `UNKNOWN the command may or may not have been executed; ${outcome.message}` };
  }
}

export function settleQuery(answer: DoorAnswer): Settled {
  if (answer.status === "refused") return { kind: "error", text: refusalText(answer.refusal) };
  const { outcome } = answer;
  switch (outcome.status) {
    case "ok":
      return settleOutput(outcome.output);
    case "rejected":
      return { kind: "error", text: `ERR the machine rejected the request: ${outcome.code}` };
    case "failed":
      return { kind: "error", text: `ERR the request failed: ${outcome.message}` };
  }
}

function settleOutput(output: Uint8Array): Settled {
  const value = decodeValue(output);
  if (value === null) return { kind: "replies", replies: null };
  if (value instanceof DecodeFailure || !Array.isArray(value)) {
    return { kind: "error", text: "ERR the machine of this replica does not answer Redis commands" };
  }
  return { kind: "replies", replies: value as readonly Reply[] };
}

function refusalText(refusal: DoorRefusal): string {
  switch (refusal.code) {
    case "NO_LEADER":
      return "CLUSTERDOWN not executed: no leader is known";
    case "STOPPING":
      return "CLUSTERDOWN not executed: this replica is stopping";
    case "QUARANTINED":
      return "CLUSTERDOWN not executed: this replica differed from the others and is being rebuilt; ask another";
    // What Redis says when it cannot write to its disk: clients know it.
    case "DISK_FULL":
      return "MISCONF not executed: the disk of the leader, or of too many other replicas, is full";
    case "SESSION_UNKNOWN":
    case "SESSION_EXPIRED":
    case "SESSION_NOT_HERE":
      return "CLUSTERDOWN not executed: this replica's session is gone; ask again";
    case "INDEX_NOT_REACHED":
      return `CLUSTERDOWN not executed: this replica has executed entry ${refusal.executed}, not yet ${refusal.asked}`;
    case "TOO_STALE":
      return `CLUSTERDOWN not executed: what this replica has may be older than ${refusal.limitMs} ms`;
    case "OVERLOADED":
      return `BUSY not executed: ${refusal.queued} requests wait and the limit is ${refusal.limit}`;
    case "TOO_LARGE":
      return `ERR not executed: the request takes ${refusal.bytes} bytes and the limit is ${refusal.limit}`;
    case "UNKNOWN_COMMAND":
    case "INVALID_INPUT":
      return "ERR not executed: the machine of this replica does not take Redis commands";
    default:
      return `BUSY not executed: ${refusal.code}`;
  }
}
