/**
 * When a queue is too long to take more: refused with both numbers, so that a client can tell a full replica from a broken one.
 *
 * Owns: the comparison. Called wherever requests and queries wait (`replica/`).
 */
import type { AdmissionRefusal } from "../model/request.js";

export function overload(queued: number, limit: number): AdmissionRefusal | undefined {
  return queued >= limit ? { code: "OVERLOADED", queued, limit } : undefined;
}
