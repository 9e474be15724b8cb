/**
 * The bytes of the replicated tables, for checkpoints and digests (hazard S8: a restore without them would run retries twice).
 *
 * Owns: their one form, a function of the state alone: sessions from the least recently used on (their order decides eviction,
 * so it is state), replies by number. Cut into chunks between sessions and keys, and made one by one while the table goes on changing. Decoders are total: chunks that are
 * not in this form give `undefined`. Called by the executor.
 *
 *   sessions     first chunk: version u8 (1), next id varint, agreed time varint
 *     session    id, next, releasedBelow, expiresAt varint, principal text, nonce text, replies from releasedBelow to next,
 *                tombstone count varint, tombstones as varints, growing
 *   keys         first chunk: version u8 (1)
 *     key        expiresAt varint, principal text, key text, digest 32, reply
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { nextRequest, requestNumber, sessionId } from "../model/ids.js";
import type { AgreedTime, RequestNumber, SessionId } from "../model/ids.js";
import { requestLimits } from "../model/request-limits.js";
import { readText } from "../wire/bounded.js";
import { readReply, writeReply } from "../wire/reply-codec.js";
import type { Aged, AgeView } from "./age-order.js";
import { newHeldKey } from "./idempotency-table.js";
import type { HeldKey, IdempotencyTable } from "./idempotency-table.js";
import { isTombstone, refused, replyBytes, settledReply } from "./replies.js";
import { newSession } from "./session-table.js";
import type { Session, SessionTable } from "./session-table.js";

const version = 1;
/** A chunk is closed by the session or key that reaches this. */
const chunkBytes = 65_536;

/** A table as it was: its chunks, once. Whoever does not take them all releases it. */
interface FrozenTable {
  readonly chunks: Iterable<Uint8Array>;
  release(): void;
}

export function freezeSessions(table: SessionTable): FrozenTable {
  const { nextId, time, sessions } = table.contents();
  const header = new ByteWriter(32);
  header.u8(version);
  header.varint(nextId);
  header.varint(time);
  return freeze(header.finish(), sessions.view(writeSession));
}

/** Whether the chunks were in their form; if not, the table is as before. */
export function installSessions(table: SessionTable, chunks: Iterable<Uint8Array>): boolean {
  let header: { readonly nextId: SessionId; readonly time: AgreedTime } | undefined;
  const sessions: Session[] = [];
  for (const chunk of chunks) {
    const reader = new ByteReader(chunk);
    if (header === undefined) {
      header = readHeader(reader);
      if (header === undefined) return false;
    } else if (!readAll(reader, readSession, sessions)) return false;
  }
  if (header === undefined || !areConsistent(sessions, header.nextId)) return false;
  table.replace(header.nextId, header.time, sessions);
  return true;
}

export function freezeKeys(table: IdempotencyTable): FrozenTable {
  return freeze(new Uint8Array([version]), table.contents().view(writeKey));
}

export function installKeys(table: IdempotencyTable, time: AgreedTime, chunks: Iterable<Uint8Array>): boolean {
  let started = false;
  const keys: HeldKey[] = [];
  for (const chunk of chunks) {
    if (!started) {
      if (chunk.length !== 1 || chunk[0] !== version) return false;
      started = true;
    } else if (!readAll(new ByteReader(chunk), readKey, keys)) return false;
  }
  if (!started || !isSortedByExpiry(keys)) return false;
  table.replace(time, keys);
  return true;
}

function freeze<Thing extends Aged<Thing>>(header: Uint8Array, view: AgeView<Thing>): FrozenTable {
  return { chunks: chunksOf(header, view), release: () => view.release() };
}

function* chunksOf<Thing extends Aged<Thing>>(header: Uint8Array, view: AgeView<Thing>): Generator<Uint8Array, void> {
  yield header;
  const writer = new ByteWriter();
  while (view.writeNext(writer)) {
    if (writer.length < chunkBytes) continue;
    yield writer.finish();
    writer.reset();
  }
  if (writer.length > 0) yield writer.finish();
}

function readAll<Thing>(reader: ByteReader, read: (reader: ByteReader) => Thing | undefined, into: Thing[]): boolean {
  while (reader.remaining > 0) {
    const thing = read(reader);
    if (thing === undefined || reader.failed) return false;
    into.push(thing);
  }
  return reader.complete;
}

function readHeader(reader: ByteReader): { readonly nextId: SessionId; readonly time: AgreedTime } | undefined {
  if (reader.u8() !== version) return undefined;
  const nextId = sessionId(reader.varint());
  const time = reader.varint();
  return nextId === undefined || !reader.complete ? undefined : { nextId, time };
}

function writeSession(writer: ByteWriter, session: Session): void {
  writer.varint(session.id);
  writer.varint(session.next);
  writer.varint(session.releasedBelow);
  writer.varint(session.expiresAt);
  writer.text(session.principal);
  writer.text(session.nonce);
  for (let number = session.releasedBelow; number < session.next; number = nextRequest(number)) {
    const kept = session.replies.get(number);
    if (kept !== undefined) writeReply(writer, settledReply(kept));
  }
  writer.varint(session.tombstonesAhead);
  for (const number of tombstonesOf(session)) writer.varint(number);
}

function tombstonesOf(session: Session): RequestNumber[] {
  if (session.tombstonesAhead === 0) return [];
  return [...session.replies.keys()].filter((number) => number >= session.next).sort((left, right) => left - right);
}

function readSession(reader: ByteReader): Session | undefined {
  const id = sessionId(reader.varint());
  const next = requestNumber(reader.varint());
  const releasedBelow = requestNumber(reader.varint());
  const expiresAt = reader.varint();
  const principal = readText(reader, requestLimits.principalBytesMax);
  const nonce = readText(reader, requestLimits.nonceBytesMax);
  if (id === undefined || next === undefined || releasedBelow === undefined || releasedBelow > next) return undefined;
  const session = newSession(id, principal, nonce);
  session.next = next;
  session.releasedBelow = releasedBelow;
  session.expiresAt = expiresAt;
  for (let number = releasedBelow; number < next; number = nextRequest(number)) {
    const reply = readReply(reader);
    if (reply === undefined || reader.failed) return undefined;
    session.replies.set(number, reply);
    session.replyBytes += replyBytes(reply);
  }
  return readTombstones(reader, session) ? session : undefined;
}

function readTombstones(reader: ByteReader, session: Session): boolean {
  const count = reader.varint();
  if (count > reader.remaining) return false;
  let least = nextRequest(session.next);
  for (let at = 0; at < count; at += 1) {
    const number = requestNumber(reader.varint());
    if (number === undefined || number < least) return false;
    const tombstone = refused({ code: "TOMBSTONED", number });
    session.replies.set(number, tombstone);
    session.replyBytes += replyBytes(tombstone);
    least = nextRequest(number);
  }
  session.tombstonesAhead = count;
  return true;
}

function areConsistent(sessions: readonly Session[], nextId: SessionId): boolean {
  const ids = new Set(sessions.map((session) => session.id));
  if (ids.size !== sessions.length || !isSortedByExpiry(sessions)) return false;
  return sessions.every((session) => session.id < nextId);
}

function isSortedByExpiry(things: readonly { readonly expiresAt: AgreedTime }[]): boolean {
  return things.every((thing, at) => at === 0 || (things[at - 1]?.expiresAt ?? 0) <= thing.expiresAt);
}

function writeKey(writer: ByteWriter, held: HeldKey): void {
  writer.varint(held.expiresAt);
  writer.text(held.principal);
  writer.text(held.key);
  writer.raw(held.digest);
  writeReply(writer, settledReply(held.kept));
}

function readKey(reader: ByteReader): HeldKey | undefined {
  const expiresAt = reader.varint();
  const principal = readText(reader, requestLimits.principalBytesMax);
  const key = readText(reader, requestLimits.keyBytesMax);
  const digest = reader.raw(requestLimits.digestBytes).slice();
  const kept = readReply(reader);
  if (kept === undefined || isTombstone(kept)) return undefined;
  return newHeldKey({ expiresAt, principal, key, digest, kept });
}
