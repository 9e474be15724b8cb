/**
 * Audit reports as bytes: what replicas have at the positions that are compared.
 *
 * Owns: their one form. Decoding is total. A report shares the kind of its entry with those of checkpoints, and has another version.
 *
 *   report   version u8 (2), replica text, incarnation varint, members, count varint, per position: index varint, digest
 *   digest   output, state: 8 bytes each
 *   members  count varint of voter sets, per set: count varint, names text; count varint, names text of all who execute
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import type { Fingerprint } from "../base/fingerprint.js";
import type { AuditDigest, AuditMembers, AuditReport } from "../model/audit.js";
import { isReplicaId, logIndex, type LogIndex, type ReplicaId } from "../model/ids.js";

const version = 2;

export function encodeAuditReport({ replica, incarnation, members, positions }: AuditReport): Uint8Array {
  const writer = new ByteWriter(128);
  writer.u8(version);
  writer.text(replica);
  writer.varint(incarnation);
  writeAuditMembers(writer, members);
  writer.varint(positions.length);
  for (const position of positions) {
    writer.varint(position.index);
    writeDigest(writer, position);
  }
  return writer.finish();
}

/** Undefined if it is none, or in another form. */
export function decodeAuditReport(report: Uint8Array): AuditReport | undefined {
  const reader = new ByteReader(report);
  if (reader.u8() !== version) return undefined;
  const replica = reader.text();
  const incarnation = reader.varint();
  const members = readAuditMembers(reader);
  const count = reader.varint();
  const positions: (AuditDigest & { readonly index: LogIndex })[] = [];
  for (let at = 0; at < count && !reader.failed; at += 1) {
    const index = logIndex(reader.varint());
    const digest = readDigest(reader);
    if (index === undefined) return undefined;
    positions.push({ index, ...digest });
  }
  if (!reader.complete || !isReplicaId(replica)) return undefined;
  return { replica, incarnation, members, positions };
}

export function writeDigest(writer: ByteWriter, { output, state }: AuditDigest): void {
  writeFingerprint(writer, output);
  writeFingerprint(writer, state);
}

export function readDigest(reader: ByteReader): AuditDigest {
  return { output: readFingerprint(reader), state: readFingerprint(reader) };
}

export function writeAuditMembers(writer: ByteWriter, { voterSets, executing }: AuditMembers): void {
  writer.varint(voterSets.length);
  for (const voters of voterSets) writeNames(writer, voters);
  writeNames(writer, executing);
}

export function readAuditMembers(reader: ByteReader): AuditMembers {
  const count = reader.varint();
  const voterSets: (readonly ReplicaId[])[] = [];
  for (let at = 0; at < count && !reader.failed; at += 1) voterSets.push(readNames(reader));
  return { voterSets, executing: readNames(reader) };
}

export function writeNames(writer: ByteWriter, names: readonly ReplicaId[]): void {
  writer.varint(names.length);
  for (const name of names) writer.text(name);
}

export function readNames(reader: ByteReader): readonly ReplicaId[] {
  const count = reader.varint();
  const names: ReplicaId[] = [];
  for (let at = 0; at < count && !reader.failed; at += 1) names.push(reader.text());
  return names;
}

export function writeFingerprint(writer: ByteWriter, { high, low }: Fingerprint): void {
  writer.u32(high >>> 0);
  writer.u32(low >>> 0);
}

export function readFingerprint(reader: ByteReader): Fingerprint {
  const high = reader.u32() | 0;
  return { high, low: reader.u32() | 0 };
}
