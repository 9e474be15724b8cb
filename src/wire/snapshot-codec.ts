/**
 * The head of a snapshot file: everything but the chunks.
 *
 * Owns: its layout. Total on foreign bytes. The chunks follow, whole and in the order of the manifest; they and the manifest are checked by their
 * hashes against the certificate's root. Called by whoever writes or reads such a file.
 *
 *   magic u32, version u8 (1), bytes of the head behind this u32, then the head:
 *   cluster id, machine name text, machine version varint, limits text (`fingerprintOf`), certificate (`checkpoint-codec.ts`), manifest bytes
 */
import { ByteReader, ByteWriter, equalBytes } from "../base/bytes.js";
import type { Certificate, Checkpoint } from "../model/checkpoint.js";
import type { Hash } from "../ports/hash.js";
import { decodeManifest, encodeManifest, readCertificate, writeCertificate } from "./checkpoint-codec.js";

export interface SnapshotHead {
  readonly clusterId: string;
  readonly machine: string;
  readonly machineVersion: number;
  /** By which states are executed: a cluster with others would go on differently. */
  readonly limits: string;
  readonly certificate: Certificate;
  readonly checkpoint: Checkpoint;
}

/** Magic, version and length. */
export const snapshotPrefixBytes = 9;
const magic = 0x4e53_5751; // "QWSN"
const version = 1;
const headBytesMax = 64 * 1024 * 1024;

export function encodeSnapshotHead(head: SnapshotHead): Uint8Array {
  const writer = new ByteWriter(1024);
  writer.u32(magic);
  writer.u8(version);
  writer.u32(0);
  writer.text(head.clusterId);
  writer.text(head.machine);
  writer.varint(head.machineVersion);
  writer.text(head.limits);
  writeCertificate(writer, head.certificate);
  writer.bytes(encodeManifest(head.checkpoint));
  writer.patchU32(5, writer.length - snapshotPrefixBytes);
  return writer.finish();
}

/** Bytes of the head, or why this is no snapshot. */
export function readSnapshotPrefix(prefix: Uint8Array): number | string {
  const reader = new ByteReader(prefix);
  if (reader.u32() !== magic) return "it is not a snapshot of quorate";
  const found = reader.u8();
  if (found !== version) return `its format version is ${found}, and this program knows ${version}`;
  const bytes = reader.u32();
  return reader.failed || bytes > headBytesMax ? "its head is damaged" : bytes;
}

export function decodeSnapshotHead(bytes: Uint8Array, hash: Hash): SnapshotHead | string {
  const reader = new ByteReader(bytes);
  const clusterId = reader.text();
  const machine = reader.text();
  const machineVersion = reader.varint();
  const limits = reader.text();
  const certificate = readCertificate(reader);
  const checkpoint = decodeManifest(reader.bytes(), hash);
  if (!reader.complete || certificate === undefined || checkpoint === undefined) return "its head is damaged";
  if (!equalBytes(certificate.root, checkpoint.root)) return "its manifest is not the certified one";
  return { clusterId, machine, machineVersion, limits, certificate, checkpoint };
}
