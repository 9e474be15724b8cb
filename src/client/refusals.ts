/**
 * What a client does about each refusal: a table.
 *
 * Owns: which refusals are final, which are worth another try, and which of those at another replica. Called by all sides of the
 * core. Invariant A4: only what is surely without effect is called refused (hazard C4).
 */
import { unreachable } from "../base/invariant.js";
import type { AdmissionRefusal, ExecutedRefusal } from "../model/request.js";

/**
 * `final`: no replica would take it, now or for long. `later`: the same replica may take it soon. `elsewhere`: another may at once, this one
 * will not for a while.
 */
export function remedyFor(refusal: AdmissionRefusal, failures: number): "final" | "later" | "elsewhere" {
  switch (refusal.code) {
    case "TOO_LARGE":
    case "UNKNOWN_COMMAND":
    case "INVALID_INPUT":
    // It lasts, and the leader is the one to ask: better told at once than waited for.
    case "DISK_FULL":
      return "final";
    case "OVERLOADED":
    case "GAP":
      return "later";
    case "STOPPING":
    case "QUARANTINED":
    case "SESSION_NOT_HERE":
    case "INDEX_NOT_REACHED":
    case "TOO_STALE":
      return "elsewhere";
    // An election takes a moment; a replica that stays without a leader is cut off from those that have one.
    case "NO_LEADER":
      return failures < 3 ? "later" : "elsewhere";
    default:
      return unreachable(refusal);
  }
}

/**
 * What an executed refusal of a command means. `spent`: its number is settled, without effect. `free`: the number is as if never
 * used. `gone`: it was executed or tombstoned before, and nobody kept which. `session`: the session has ended.
 */
export function meaningOf(refusal: ExecutedRefusal): "spent" | "free" | "gone" | "session" {
  switch (refusal.code) {
    case "SESSION_UNKNOWN":
    case "SESSION_EXPIRED":
      return "session";
    case "TOMBSTONED":
    case "IDEMPOTENCY_CONFLICT":
    case "IDEMPOTENCY_FULL":
      return "spent";
    case "OUT_OF_ORDER":
    case "TOO_MANY_REPLIES":
    case "TOO_MANY_TOMBSTONES":
      return "free";
    case "REPLY_RELEASED":
      return "gone";
    default:
      return unreachable(refusal);
  }
}
