/**
 * The members as part of the replicated state: what a log that begins behind a checkpoint no longer says.
 *
 * Owns: the bytes. Of founders only that they are the founders: each directory knows them, and addresses may be told anew at each start.
 *
 *   version u8 (1), index, term varint, then the membership (`model/membership-codec.ts`) if the index is above 0
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { noEntry } from "../model/entry.js";
import { logIndex, noIndex, term as termOf } from "../model/ids.js";
import { decodeMembership, encodeMembership } from "../model/membership-codec.js";
import type { Configuration } from "../model/membership.js";

const version = 1;

export function encodeConfiguration({ index, term, membership }: Configuration): Uint8Array[] {
  const writer = new ByteWriter();
  writer.u8(version);
  writer.varint(index);
  writer.varint(term);
  if (index > noIndex) writer.raw(encodeMembership(membership));
  return [writer.finish()];
}

/** Of founders without members. Undefined if the chunks are in another form. */
export function decodeConfiguration(chunks: Iterable<Uint8Array>): Configuration | undefined {
  const [chunk, ...more] = chunks;
  if (chunk === undefined || more.length > 0) return undefined;
  const reader = new ByteReader(chunk);
  if (reader.u8() !== version) return undefined;
  const index = logIndex(reader.varint());
  const term = termOf(reader.varint());
  if (reader.failed || index === undefined || term === undefined) return undefined;
  if (index === noIndex) return reader.complete ? { ...noEntry, membership: { members: [] } } : undefined;
  const membership = decodeMembership(reader.raw(reader.remaining));
  return membership === undefined ? undefined : { index, term, membership };
}
