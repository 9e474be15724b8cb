/**
 * Reports that their replicas have signed: what an entry of kind `report` holds under Byzantine faults.
 *
 * Owns: the forms below. Leaves to others: signatures, which are looked at nowhere here (`authentication/`). Decoding is total, and what is
 * taken has one form: it decodes to the same on every replica, or on none. Called by the codec of batches and by whoever reports.
 *
 *   signed   signature 64 | varint executed index | length varint, report (`report-codec.ts`)
 *   payload  u8 1 (version) | count varint | signed, each
 *   plain    u8 6 | count varint | for each: varint executed index | length varint, report: for the executor
 *
 * A report names its replica itself, so no key is in it. The index is how far its replica had executed: what is repeated later by somebody
 * else is told by it from what was said since. Reports of checkpoints have no place here: the core certifies them.
 */
import { ByteReader, ByteWriter, equalBytes } from "../base/bytes.js";
import { invariant } from "../base/invariant.js";
import { logIndex, type LogIndex, type ReplicaId } from "../model/ids.js";
import { encodeAuditReport } from "./audit-codec.js";
import { decodeAnyReport, type AnyReport } from "./report-codec.js";
import { encodeSkipReport } from "./skip-codec.js";
import { encodeOffer } from "./version-codec.js";

/** What a replica says, and how far it had executed then. */
export interface SaidReport {
  readonly executed: LogIndex;
  readonly report: Uint8Array;
}

export interface SignedReport extends SaidReport {
  readonly by: ReplicaId;
  readonly signature: Uint8Array;
}

/** What a report of a replica may take, 256 positions with their digests and the members included. */
const reportBytesMax = 16_384;
/** In one payload. */
export const reportsMax = 256;
const signatureBytes = 64;
const payloadVersion = 1;
const plainVersion = 6;
/** Of an offer: nobody has more, and it is kept for as long as its replica is a member. */
const versionsMax = 256;

export function encodeSignedReport({ signature, executed, report }: Omit<SignedReport, "by">): Uint8Array {
  invariant(signature.length === signatureBytes, "a signature has 64 bytes");
  const writer = new ByteWriter(signatureBytes + report.length + 16);
  writer.raw(signature);
  writeSaid(writer, { executed, report });
  return writer.finish();
}

/** Views of `bytes`. */
export function decodeSignedReport(bytes: Uint8Array): SignedReport | undefined {
  const reader = new ByteReader(bytes);
  const signed = readSigned(reader);
  return reader.complete ? signed : undefined;
}

/** The payload of a proposal. The reports were decoded before. */
export function encodeReports(signed: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter(8 + signed.reduce((sum, { length }) => sum + length, 0));
  writer.u8(payloadVersion);
  writer.varint(signed.length);
  for (const each of signed) writer.raw(each);
  return writer.finish();
}

/** Views of `payload`. */
export function decodeReports(payload: Uint8Array): readonly SignedReport[] | undefined {
  const reader = new ByteReader(payload);
  if (reader.u8() !== payloadVersion) return undefined;
  const count = reader.varint();
  if (count === 0 || count > reportsMax) return undefined;
  const reports: SignedReport[] = [];
  for (let at = 0; at < count; at += 1) {
    const signed = readSigned(reader);
    if (signed === undefined) return undefined;
    reports.push(signed);
  }
  return reader.complete ? reports : undefined;
}

/** What the executor is given of an entry's payload: a copy. */
export function plainReports(reports: readonly SaidReport[]): Uint8Array {
  const writer = new ByteWriter(8 + reports.reduce((sum, { report }) => sum + report.length + 16, 0));
  writer.u8(plainVersion);
  writer.varint(reports.length);
  for (const report of reports) writeSaid(writer, report);
  return writer.finish();
}

/** Views of `payload`. */
export function decodePlainReports(payload: Uint8Array): readonly SaidReport[] | undefined {
  const reader = new ByteReader(payload);
  if (reader.u8() !== plainVersion) return undefined;
  const reports: SaidReport[] = [];
  for (let left = reader.varint(); left > 0; left -= 1) {
    const said = readSaid(reader);
    if (said === undefined) return undefined;
    reports.push(said);
  }
  return reader.complete ? reports : undefined;
}

function writeSaid(writer: ByteWriter, { executed, report }: SaidReport): void {
  writer.varint(executed);
  writer.bytes(report);
}

function readSaid(reader: ByteReader): SaidReport | undefined {
  const executed = logIndex(reader.varint());
  const length = reader.varint();
  if (length > reportBytesMax || executed === undefined) return undefined;
  const report = reader.raw(length);
  return reader.failed ? undefined : { executed, report };
}

function readSigned(reader: ByteReader): SignedReport | undefined {
  const signature = reader.raw(signatureBytes);
  const said = readSaid(reader);
  const by = said === undefined ? undefined : replicaOf(said.report);
  return said === undefined || by === undefined ? undefined : { ...said, by, signature };
}

/** Whose report it is, if it may be ordered here and has the one form of what it says. */
function replicaOf(bytes: Uint8Array): ReplicaId | undefined {
  const decoded = decodeAnyReport(bytes);
  const encoded = decoded === undefined ? undefined : encodeOrdered(decoded);
  return encoded !== undefined && equalBytes(encoded, bytes) ? decoded?.report.replica : undefined;
}

function encodeOrdered({ kind, report }: AnyReport): Uint8Array | undefined {
  switch (kind) {
    case "audit":
      return encodeAuditReport(report);
    case "skip":
      return encodeSkipReport(report);
    case "offer":
      return report.versions.length > versionsMax ? undefined : encodeOffer(report);
    case "checkpoint":
      return undefined;
  }
}
