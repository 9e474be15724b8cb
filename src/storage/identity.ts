/**
 * Who a data directory belongs to, and how that lies on disk.
 *
 * Owns: the identity's shape and its file format. Leaves to others: when it is created, compared and counted up (`data-dir.ts`).
 *
 * | at | bytes | field |
 * |---|---|---|
 * | 0 | 4 | magic |
 * | 4 | 4 | CRC-32 of everything from byte 8 on |
 * | 8 | 4 | format version |
 * | 12 | | cluster id, replica id, machine name (text); incarnation, starts (varint); log identity (8 bytes); members as in `model/membership-codec.ts` |
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { invariant } from "../base/invariant.js";
import type { ReplicaId } from "../model/ids.js";
import { readMembers, writeMembers } from "../model/membership-codec.js";
import type { Membership } from "../model/membership.js";
import type { Hash } from "../ports/hash.js";

export interface Identity {
  readonly clusterId: string;
  readonly replicaId: ReplicaId;
  /** The machine whose commands the log holds. */
  readonly machine: string;
  /** What an earlier incarnation promised was lost with its disk. */
  readonly incarnation: number;
  /** The members at bootstrap, equal on all founders; empty on a replica that joined later. */
  readonly membership: Membership;
  /** Starts of this replica on this directory, the present one included: durable before the replica says a word. Or `notCounted`. */
  readonly starts: number;
  /** Eight random bytes that every record of this directory's log carries. */
  readonly logIdentity: Uint8Array;
}

export const identityBytesMax = 64 * 1024;
const magic = 0x4449_5751; // "QWID"
const version = 1;

/** The disk had no space for the count of this start. */
export const notCounted = 0;

export function encodeIdentity(identity: Identity, hash: Hash): Uint8Array {
  invariant(identity.logIdentity.length === 8, "a log's identity is eight bytes");
  const writer = new ByteWriter();
  writer.u32(magic);
  writer.u32(0);
  writer.u32(version);
  writer.text(identity.clusterId);
  writer.text(identity.replicaId);
  writer.text(identity.machine);
  writer.varint(identity.incarnation);
  writer.varint(identity.starts);
  writer.raw(identity.logIdentity);
  writeMembers(writer, identity.membership.members);
  writer.patchU32(4, hash.crc32(writer.peek().subarray(8)));
  return writer.finish();
}

export type DecodedIdentity =
  | { readonly kind: "identity"; readonly identity: Identity }
  | { readonly kind: "damaged" }
  | { readonly kind: "newer"; readonly version: number; readonly known: number };

export function decodeIdentity(bytes: Uint8Array, hash: Hash): DecodedIdentity {
  const reader = new ByteReader(bytes);
  const found = reader.u32();
  const checksum = reader.u32();
  if (reader.failed || found !== magic || checksum !== hash.crc32(bytes.subarray(8))) return { kind: "damaged" };
  const written = reader.u32();
  if (written > version) return { kind: "newer", version: written, known: version };
  const clusterId = reader.text();
  const replicaId = reader.text();
  const machine = reader.text();
  const incarnation = reader.varint();
  const starts = reader.varint();
  const logIdentity = reader.raw(8).slice();
  const members = readMembers(reader);
  if (!reader.complete) return { kind: "damaged" };
  const identity = { clusterId, replicaId, machine, incarnation, starts, logIdentity, membership: { members } };
  return { kind: "identity", identity };
}
