/**
 * How a data directory came to the cluster it belongs to, if that goes on without a majority of an older one.
 *
 * Owns: the file's bytes. Leaves to others: what the text says (the `recover` verb), when it is written (`held-directory.ts`).
 *
 *   CRC-32 u32 of the rest, members that were lost (`model/membership-codec.ts`), text
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { readMembers, writeMembers } from "../model/membership-codec.js";
import type { Member } from "../model/membership.js";
import type { Disk } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";

export interface RecoveryRecord {
  /** Should they come back, somebody must hear of it. */
  readonly lost: readonly Member[];
  /** What was known when it was decided. */
  readonly text: string;
}

const recordName = "recovery";
const recordBytesMax = 4 * 1024 * 1024;

/** Durable when it returns. */
export function writeRecoveryRecord(disk: Disk, hash: Hash, path: string, { lost, text }: RecoveryRecord): void {
  const writer = new ByteWriter();
  writer.u32(0);
  writeMembers(writer, lost);
  writer.text(text);
  writer.patchU32(0, hash.crc32(writer.peek().subarray(4)));
  disk.writeFileAtomically(`${path}/${recordName}`, writer.finish());
}

/** Undefined if there is none. */
export function readRecoveryRecord(disk: Disk, hash: Hash, path: string): RecoveryRecord | "damaged" | undefined {
  const name = `${path}/${recordName}`;
  if (!disk.exists(name)) return undefined;
  const bytes = disk.readFile(name, recordBytesMax);
  const reader = new ByteReader(bytes);
  const checksum = reader.u32();
  const lost = readMembers(reader);
  const text = reader.text();
  return reader.complete && checksum === hash.crc32(bytes.subarray(4)) ? { lost, text } : "damaged";
}
