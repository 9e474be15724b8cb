/**
 * Checkpoints as bytes: the manifest, the certificate, a replica's report.
 *
 * Owns: their one form. Decoding is total. The manifest's own hash is the checkpoint's root, so it is never believed before that is compared.
 *
 *   manifest     version u8 (1), index, term, time varint, count varint, per chunk: hash 32, bytes varint
 *   certificate  version u8 (1), index varint, root 32, bytes varint, count varint, names text
 *   report       version u8 (1), replica text, incarnation, index varint, root 32, bytes varint, count varint, voters text
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import type { Certificate, Checkpoint, ChunkName, Report } from "../model/checkpoint.js";
import { isReplicaId, logIndex, term as termOf, type ReplicaId } from "../model/ids.js";
import type { Hash } from "../ports/hash.js";

const version = 1;
const hashBytes = 32;

export function encodeManifest({ last, time, chunks }: Omit<Checkpoint, "root">): Uint8Array {
  const writer = new ByteWriter(32 + chunks.length * (hashBytes + 4));
  writer.u8(version);
  writer.varint(last.index);
  writer.varint(last.term);
  writer.varint(time);
  writer.varint(chunks.length);
  for (const { hash, bytes } of chunks) {
    writer.raw(hash);
    writer.varint(bytes);
  }
  return writer.finish();
}

export function decodeManifest(manifest: Uint8Array, hash: Hash): Checkpoint | undefined {
  const reader = new ByteReader(manifest);
  if (reader.u8() !== version) return undefined;
  const [index, term, time, count] = [
    logIndex(reader.varint()),
    termOf(reader.varint()),
    reader.varint(),
    reader.varint(),
  ];
  if (index === undefined || term === undefined || count > reader.remaining / hashBytes) return undefined;
  const chunks: ChunkName[] = [];
  for (let at = 0; at < count; at += 1) chunks.push({ hash: reader.raw(hashBytes).slice(), bytes: reader.varint() });
  if (!reader.complete) return undefined;
  return { last: { index, term }, time, chunks, root: hash.sha256(manifest) };
}

export function writeCertificate(writer: ByteWriter, { index, root, bytes, by }: Certificate): void {
  writer.u8(version);
  writer.varint(index);
  writer.raw(root);
  writer.varint(bytes);
  writer.varint(by.length);
  for (const replica of by) writer.text(replica);
}

export function readCertificate(reader: ByteReader): Certificate | undefined {
  if (reader.u8() !== version) return undefined;
  const index = logIndex(reader.varint());
  const root = reader.raw(hashBytes).slice();
  const [bytes, count] = [reader.varint(), reader.varint()];
  const by: ReplicaId[] = [];
  for (let at = 0; at < count && !reader.failed; at += 1) by.push(reader.text());
  return reader.failed || index === undefined ? undefined : { index, root, bytes, by };
}

export function encodeReport({ replica, incarnation, index, root, bytes, voters }: Report): Uint8Array {
  const writer = new ByteWriter(128);
  writer.u8(version);
  writer.text(replica);
  writer.varint(incarnation);
  writer.varint(index);
  writer.raw(root);
  writer.varint(bytes);
  writer.varint(voters.length);
  for (const voter of voters) writer.text(voter);
  return writer.finish();
}

export function decodeReport(report: Uint8Array): Report | undefined {
  const reader = new ByteReader(report);
  if (reader.u8() !== version) return undefined;
  const replica = reader.text();
  const incarnation = reader.varint();
  const index = logIndex(reader.varint());
  const root = reader.raw(hashBytes).slice();
  const [bytes, count] = [reader.varint(), reader.varint()];
  const voters: ReplicaId[] = [];
  for (let at = 0; at < count && !reader.failed; at += 1) voters.push(reader.text());
  if (!reader.complete || index === undefined || !isReplicaId(replica)) return undefined;
  return { replica, incarnation, index, root, bytes, voters };
}
