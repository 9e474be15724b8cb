/**
 * The digest of a whole replicated state.
 *
 * Owns: how the digests of its parts are put together. Leaves to others: the parts (`executor.ts`). Called by the executor; costs a walk
 * through everything.
 */
import { ByteWriter, concatBytes } from "../base/bytes.js";
import type { AgreedTime, LogIndex } from "../model/ids.js";
import type { Hash } from "../ports/hash.js";

interface StateParts {
  readonly index: LogIndex;
  readonly time: AgreedTime;
  readonly machine: { digest(): Uint8Array };
  readonly sessions: Iterable<Uint8Array>;
  readonly keys: Iterable<Uint8Array>;
  readonly reports: Iterable<Uint8Array>;
  readonly members: Iterable<Uint8Array>;
  readonly audits: Iterable<Uint8Array>;
  readonly versions: Iterable<Uint8Array>;
}

/** Hashes of hashes, each of a fixed length and in a fixed place, so that no two states share their bytes. */
export function digestOf(hash: Hash, rules: Uint8Array, parts: StateParts): Uint8Array {
  const writer = new ByteWriter(256);
  writer.raw(rules);
  writer.u64(parts.index);
  writer.u64(parts.time);
  writer.raw(parts.machine.digest());
  writer.raw(digestOfChunks(hash, parts.sessions));
  writer.raw(digestOfChunks(hash, parts.keys));
  writer.raw(digestOfChunks(hash, parts.reports));
  writer.raw(digestOfChunks(hash, parts.members));
  writer.raw(digestOfChunks(hash, parts.audits));
  writer.raw(digestOfChunks(hash, parts.versions));
  return hash.sha256(writer.peek());
}

function digestOfChunks(hash: Hash, chunks: Iterable<Uint8Array>): Uint8Array {
  return hash.sha256(concatBytes(Array.from(chunks, (chunk) => hash.sha256(chunk))));
}
