/**
 * Who come after the members of an epoch, as bytes, and the request for it.
 *
 * Owns: one form for each, and what members there may be. Leaves to others: whether they may follow (`consensus/bft/epoch.ts`), who may ask
 * for it (`authentication/`). Total on foreign bytes. What is decided is what `encodeMembership` gives, so that a checkpoint's members say
 * the same bytes.
 *
 *   successor        membership (`model/membership-codec.ts`): voters with different keys, in the order of their ids
 *   reconfiguration  signature 64 | body
 *   body             varint epoch, which is to end | successor
 */
import { ByteReader, ByteWriter, equalBytes } from "../base/bytes.js";
import type { Reconfiguration, Successor } from "../consensus/bft/messages.js";
import { decodeMembership, encodeMembership } from "../model/membership-codec.js";
import type { Membership } from "../model/membership.js";
import { counterMax } from "../model/ids.js";
import { keyNameOf } from "./key-name.js";

const signatureBytes = 64;

/** `undefined` for members whom no epoch can have. */
export function successorOf(membership: Membership): Successor | undefined {
  return decodeSuccessor(encodeMembership(membership));
}

/** Shares no memory with `bytes`. */
export function decodeSuccessor(bytes: Uint8Array): Successor | undefined {
  const payload = new Uint8Array(bytes);
  const membership = decodeMembership(payload);
  // One form, as it is signed.
  if (membership === undefined || !equalBytes(encodeMembership(membership), payload)) return undefined;
  const { members, before } = membership;
  const names = members.flatMap(({ id, key }) => (key === undefined ? [] : [{ id, key: keyNameOf(key) }]));
  const isComplete = before === undefined && names.length === members.length && names.length > 0;
  const areVoters = members.every(({ role }) => role === "voter");
  const areSorted = names.every(({ id }, at) => at === 0 || (names[at - 1]?.id ?? "") < id);
  const areDifferent = new Set(names.map(({ key }) => key)).size === names.length;
  return isComplete && areVoters && areSorted && areDifferent ? { members: names, payload } : undefined;
}

/** What is signed of it, behind its domain (`authentication/domain.ts`). */
export function encodeReconfigurationBody({ epoch, successor }: Reconfiguration): Uint8Array {
  const writer = new ByteWriter(16 + successor.payload.length);
  writer.varint(epoch);
  writer.raw(successor.payload);
  return writer.finish();
}

export function encodeReconfiguration(signature: Uint8Array, body: Uint8Array): Uint8Array {
  const writer = new ByteWriter(signatureBytes + body.length);
  writer.raw(signature);
  writer.raw(body);
  return writer.finish();
}

export function decodeReconfiguration(bytes: Uint8Array): Reconfiguration | undefined {
  const reader = new ByteReader(bytes);
  reader.skip(signatureBytes);
  const epoch = reader.varint();
  if (reader.failed || epoch >= counterMax) return undefined;
  const successor = decodeSuccessor(reader.raw(reader.remaining));
  return successor && { epoch, successor };
}

/** Of bytes that were decoded before. */
export function signatureOfReconfiguration(bytes: Uint8Array): {
  readonly signature: Uint8Array;
  readonly body: Uint8Array;
} {
  return { signature: bytes.subarray(0, signatureBytes), body: bytes.subarray(signatureBytes) };
}
