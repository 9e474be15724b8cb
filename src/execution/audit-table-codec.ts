/**
 * The bytes of the audit table and the running digest of outputs, for checkpoints.
 *
 * Owns: their one form, a function of the state alone. Decoding is total. A checkpoint of a version before audits has no such part: then they
 * begin anew, on all replicas alike.
 *
 *   version u8 (1), outputs 8 bytes, commands varint, since varint, counts varint by kind in the order of `verdictKinds`,
 *   members: count varint, each as in `wire/audit-codec.ts`, replaced by their number below, 0 for none
 *   open: count varint, each: index, time, members varint, count varint of reports, each: replica text, incarnation, members varint, digest
 *   recent, findings: count varint, each: index, time varint, kind u8, three lists of names
 *   named: count varint, each: replica text, incarnation, from, to varint
 *   replicas: count varint, each: replica text, agreed at, unchecked from, unchecked since, unchecked varint
 */
import { ByteReader, ByteWriter, hexOf } from "../base/bytes.js";
import type { Fingerprint } from "../base/fingerprint.js";
import {
  verdictKinds,
  type AuditedPosition,
  type AuditedReplica,
  type AuditMembers,
  type NamedReplica,
} from "../model/audit.js";
import { logIndex, noIndex, type LogIndex } from "../model/ids.js";
import {
  readAuditMembers,
  readDigest,
  readFingerprint,
  readNames,
  writeAuditMembers,
  writeDigest,
  writeFingerprint,
  writeNames,
} from "../wire/audit-codec.js";
import { newAuditState, type AuditState, type OpenPosition } from "./audit-table.js";

const version = 1;

export function encodeAudits(outputs: Fingerprint, state: AuditState): Uint8Array[] {
  const writer = new ByteWriter(256);
  writer.u8(version);
  writeFingerprint(writer, outputs);
  writer.varint(state.commands);
  writer.varint(state.since);
  for (const kind of verdictKinds) writer.varint(state.counts[kind]);
  writeOpen(writer, state.open);
  writePositions(writer, state.recent);
  writePositions(writer, state.findings);
  writer.varint(state.named.length);
  for (const { replica, incarnation, from, to } of state.named) {
    writer.text(replica);
    for (const number of [incarnation, from, to]) writer.varint(number);
  }
  writer.varint(state.replicas.length);
  for (const { replica, agreedAt, uncheckedFrom, uncheckedSince, unchecked } of state.replicas) {
    writer.text(replica);
    for (const number of [agreedAt, uncheckedFrom, uncheckedSince, unchecked]) writer.varint(number);
  }
  return [writer.finish()];
}

/** Undefined if the chunks are in another form. */
export function decodeAudits(
  chunks: Iterable<Uint8Array>,
): { readonly outputs: Fingerprint; readonly state: AuditState } | undefined {
  const [chunk, ...more] = chunks;
  if (chunk === undefined) return { outputs: { high: 0, low: 0 }, state: newAuditState() };
  const reader = new ByteReader(chunk);
  if (more.length > 0 || reader.u8() !== version) return undefined;
  const outputs = readFingerprint(reader);
  const state = newAuditState();
  state.commands = reader.varint();
  state.since = reader.varint();
  for (const kind of verdictKinds) state.counts[kind] = reader.varint();
  state.open = readOpen(reader);
  state.recent = readPositions(reader);
  state.findings = readPositions(reader);
  state.named = readMany(reader, (): NamedReplica => {
    return { replica: reader.text(), incarnation: reader.varint(), from: readIndex(reader), to: readIndex(reader) };
  });
  state.replicas = readMany(reader, (): AuditedReplica => ({
    replica: reader.text(),
    agreedAt: readIndex(reader),
    uncheckedFrom: readIndex(reader),
    uncheckedSince: reader.varint(),
    unchecked: reader.varint(),
  }));
  return reader.complete ? { outputs, state } : undefined;
}

function writeOpen(writer: ByteWriter, open: readonly OpenPosition[]): void {
  const members = new MembersNumbers();
  const body = new ByteWriter(256);
  body.varint(open.length);
  for (const { index, time, known, reports } of open) {
    body.varint(index);
    body.varint(time);
    body.varint(members.numberOf(known));
    body.varint(reports.length);
    for (const report of reports) {
      body.text(report.replica);
      body.varint(report.incarnation);
      body.varint(members.numberOf(report.members));
      writeDigest(body, report);
    }
  }
  writer.varint(members.encoded.length);
  for (const bytes of members.encoded) writer.raw(bytes);
  writer.raw(body.peek());
}

function readOpen(reader: ByteReader): OpenPosition[] {
  const members = readMany(reader, () => readAuditMembers(reader));
  const readMembers = (): AuditMembers | undefined => members[reader.varint() - 1];
  return readMany(reader, (): OpenPosition => {
    const index = readIndex(reader);
    const time = reader.varint();
    const known = readMembers();
    const reports = readMany(reader, (): OpenPosition["reports"][number] => {
      const [replica, incarnation, said] = [reader.text(), reader.varint(), readMembers()];
      if (said === undefined) reader.fail();
      return { replica, incarnation, members: said ?? { voterSets: [], executing: [] }, ...readDigest(reader) };
    });
    return { index, time, known, reports };
  });
}

/** Equal members are written once, wherever they come from. */
class MembersNumbers {
  readonly encoded: Uint8Array[] = [];
  readonly #numbers = new Map<string, number>();

  numberOf(members: AuditMembers | undefined): number {
    if (members === undefined) return 0;
    const writer = new ByteWriter(64);
    writeAuditMembers(writer, members);
    const name = hexOf(writer.peek());
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    this.encoded.push(writer.finish());
    this.#numbers.set(name, this.encoded.length);
    return this.encoded.length;
  }
}

function writePositions(writer: ByteWriter, positions: readonly AuditedPosition[]): void {
  writer.varint(positions.length);
  for (const { index, time, kind, agreeing, differing, missing } of positions) {
    writer.varint(index);
    writer.varint(time);
    writer.u8(verdictKinds.indexOf(kind));
    for (const names of [agreeing, differing, missing]) writeNames(writer, names);
  }
}

function readPositions(reader: ByteReader): AuditedPosition[] {
  return readMany(reader, (): AuditedPosition => {
    const [index, time, kind] = [readIndex(reader), reader.varint(), verdictKinds[reader.u8()]];
    if (kind === undefined) reader.fail();
    const [agreeing, differing, missing] = [readNames(reader), readNames(reader), readNames(reader)];
    return { index, time, kind: kind ?? "notChecked", agreeing, differing, missing };
  });
}

function readMany<Thing>(reader: ByteReader, read: () => Thing): Thing[] {
  const count = reader.varint();
  const things: Thing[] = [];
  for (let at = 0; at < count && !reader.failed; at += 1) things.push(read());
  return things;
}

function readIndex(reader: ByteReader): LogIndex {
  return logIndex(reader.varint()) ?? noIndex;
}
