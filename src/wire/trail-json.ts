/**
 * What a replica remembers of an entry, as JSON: over HTTP, and in the lines of evidence files.
 *
 * Owns: its one form. Leaves to others: reading it (`server/forensics/finding-json.ts`), what else is in those files.
 */
import { base64Text } from "../base/base64.js";
import { hexOf } from "../base/bytes.js";
import type { Fingerprint } from "../base/fingerprint.js";
import type { TrailEntry } from "../model/audit.js";
import { encodeReply } from "./reply-codec.js";

/** Of the form of evidence files. */
export const evidenceVersion = 1;

/** Digests in hex, high word first; bytes in base64; each answer with whether it was repeated. */
export interface TrailEntryJson {
  readonly index: number;
  readonly time: number;
  readonly kind: string;
  readonly output: string;
  readonly state: string;
  readonly payload?: string;
  readonly answers?: readonly (readonly [string, boolean])[];
}

export function trailEntryToJson({ index, time, kind, output, state, content }: TrailEntry): TrailEntryJson {
  const digests = { index, time, kind, output: digestText(output), state: digestText(state) };
  if (content === undefined) return digests;
  const answers = content.answers.map(({ reply, repeated }) => [base64Text(encodeReply(reply)), repeated] as const);
  return { ...digests, payload: base64Text(content.payload), answers };
}

function digestText({ high, low }: Fingerprint): string {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, high);
  view.setInt32(4, low);
  return hexOf(bytes);
}
