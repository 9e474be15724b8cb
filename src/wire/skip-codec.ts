/**
 * Reports of steps that cannot be finished, and what became of them, as bytes.
 *
 * Owns: their one form. Decoding is total. A report shares the kind of its entry with other reports, and has another version.
 *
 *   report   version u8 (4), replica text, incarnation varint, position, members (`audit-codec.ts`)
 *   skipped  version u8 (5), position: in checkpoints alone
 *   position index, step varint, reason u8 in the order of `unfinishedReasons`
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { isReplicaId, logIndex } from "../model/ids.js";
import { unfinishedReasons, type SkipReport, type Unfinished } from "../model/skip.js";
import { readAuditMembers, writeAuditMembers } from "./audit-codec.js";

const reportVersion = 4;
const skippedVersion = 5;

export function encodeSkipReport({ replica, incarnation, members, ...unfinished }: SkipReport): Uint8Array {
  const writer = new ByteWriter(128);
  writer.u8(reportVersion);
  writer.text(replica);
  writer.varint(incarnation);
  writeUnfinished(writer, unfinished);
  writeAuditMembers(writer, members);
  return writer.finish();
}

/** Undefined if it is none, or in another form. */
export function decodeSkipReport(report: Uint8Array): SkipReport | undefined {
  const reader = new ByteReader(report);
  if (reader.u8() !== reportVersion) return undefined;
  const [replica, incarnation] = [reader.text(), reader.varint()];
  const unfinished = readUnfinished(reader);
  const members = readAuditMembers(reader);
  if (!reader.complete || unfinished === undefined || !isReplicaId(replica)) return undefined;
  return { replica, incarnation, ...unfinished, members };
}

export function encodeSkipped(skipped: Unfinished): Uint8Array {
  const writer = new ByteWriter(16);
  writer.u8(skippedVersion);
  writeUnfinished(writer, skipped);
  return writer.finish();
}

/** Undefined if it is none, or in another form. */
export function decodeSkipped(bytes: Uint8Array): Unfinished | undefined {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== skippedVersion) return undefined;
  const skipped = readUnfinished(reader);
  return reader.complete ? skipped : undefined;
}

export function writeUnfinished(writer: ByteWriter, { at, reason }: Unfinished): void {
  writer.varint(at.index);
  writer.varint(at.step);
  writer.u8(unfinishedReasons.indexOf(reason));
}

export function readUnfinished(reader: ByteReader): Unfinished | undefined {
  const [index, step, reason] = [logIndex(reader.varint()), reader.varint(), unfinishedReasons[reader.u8()]];
  return index === undefined || reason === undefined ? undefined : { at: { index, step }, reason };
}
