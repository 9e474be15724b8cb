/**
 * What replicas under Byzantine faults tell each other of requests that have come, so that each can compare how long they wait for their place in
 * the order: names alone, unsigned. Who makes some up harms itself alone: they are never decided, and take the place of its own.
 *
 * Owns: the bytes. Total on foreign bytes. Called by `replica/bft-driver.ts`.
 *
 *   notice   SHA-256 of a bundle's body (`signed-batch.ts`), 32 bytes, one or more
 */
import { bytesOfHex, hexOf } from "../base/bytes.js";
import { invariant } from "../base/invariant.js";
import type { Digest } from "../consensus/bft/messages.js";

const idBytes = 32;
/** More than a replica takes in one turn says nothing more. */
const noticeCountMax = 1_024;

/** Of the first so many. */
export function encodeNotice(ids: readonly Digest[]): Uint8Array {
  const told = ids.slice(0, noticeCountMax);
  const notice = new Uint8Array(told.length * idBytes);
  for (const [at, id] of told.entries()) {
    const bytes = bytesOfHex(id);
    invariant(bytes?.length === idBytes, "a bundle is named by a SHA-256");
    notice.set(bytes, at * idBytes);
  }
  return notice;
}

export function decodeNotice(bytes: Uint8Array): readonly Digest[] | undefined {
  if (bytes.length === 0 || bytes.length % idBytes !== 0 || bytes.length > noticeCountMax * idBytes) return undefined;
  return Array.from({ length: bytes.length / idBytes }, (_, at) =>
    hexOf(bytes.subarray(at * idBytes, (at + 1) * idBytes)),
  );
}
