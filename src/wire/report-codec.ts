/**
 * All that a replica reports of itself in the order, by the first byte of its bytes.
 *
 * Owns: telling the forms apart. Leaves to others: the forms (`audit-codec.ts`, `checkpoint-codec.ts`, `version-codec.ts`, `skip-codec.ts`).
 */
import type { AuditReport } from "../model/audit.js";
import type { Report } from "../model/checkpoint.js";
import type { SkipReport } from "../model/skip.js";
import type { VersionOffer } from "../model/version.js";
import { decodeAuditReport } from "./audit-codec.js";
import { decodeReport } from "./checkpoint-codec.js";
import { decodeSkipReport } from "./skip-codec.js";
import { decodeOffer } from "./version-codec.js";

export type AnyReport =
  | { readonly kind: "audit"; readonly report: AuditReport }
  | { readonly kind: "checkpoint"; readonly report: Report }
  | { readonly kind: "offer"; readonly report: VersionOffer }
  | { readonly kind: "skip"; readonly report: SkipReport };

/** Undefined if it has none of the forms that are known. */
export function decodeAnyReport(bytes: Uint8Array): AnyReport | undefined {
  const audit = decodeAuditReport(bytes);
  if (audit !== undefined) return { kind: "audit", report: audit };
  const checkpoint = decodeReport(bytes);
  if (checkpoint !== undefined) return { kind: "checkpoint", report: checkpoint };
  const offer = decodeOffer(bytes);
  if (offer !== undefined) return { kind: "offer", report: offer };
  const skip = decodeSkipReport(bytes);
  return skip === undefined ? undefined : { kind: "skip", report: skip };
}
