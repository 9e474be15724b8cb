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
import type { IdempotencyLimits, SessionLimits } from "../api/config.js";
import { ByteReader, ByteWriter } from "../base/bytes.js";
import type { Steps } from "../base/steps.js";
import { nextRequest, requestNumber, sessionId } from "../model/ids.js";
import type { AgreedTime, SessionId } from "../model/ids.js";
import { requestLimits } from "../model/request-limits.js";
import { readText } from "../wire/bounded.js";
import { readReply, writeReply } from "../wire/reply-codec.js";
import type { Aged, AgeView } from "./age-order.js";
import { IdempotencyTable, newHeldKey, type HeldKey } from "./idempotency-table.js";
import { isTombstone, refused, replyBytes, settledReply } from "./replies.js";
import { newSession, SessionTable, tombstonesOf, type Session } from "./session-table.js";

const version = 1;
/** Behind a signer's name and `/`, where requests are signed. */
const keyPrincipalBytesMax = 2 * requestLimits.principalBytesMax + 1;
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

/** What the chunks hold, one in each step; undefined if they are not in their form. */
export function* readSessions(limits: SessionLimits, chunks: Iterable<Uint8Array>): Steps<SessionTable | undefined> {
  let table: SessionTable | undefined;
  for (const chunk of chunks) {
    const reader = new ByteReader(chunk);
    if (table === undefined) {
      const header = readHeader(reader);
      if (header === undefined) return undefined;
      table = SessionTable.begun(limits, header.nextId, header.time);
    } else if (!restoreAll(reader, readSession, table)) return undefined;
    yield;
  }
  return table;
}

export function freezeKeys(table: IdempotencyTable): FrozenTable {
  return freeze(new Uint8Array([version]), table.contents().view(writeKey));
}

/** As `readSessions`. */
export function* readKeys(
  limits: IdempotencyLimits,
  time: AgreedTime,
  chunks: Iterable<Uint8Array>,
): Steps<IdempotencyTable | undefined> {
  let table: IdempotencyTable | undefined;
  for (const chunk of chunks) {
    if (table === undefined) {
      if (chunk.length !== 1 || chunk[0] !== version) return undefined;
      table = IdempotencyTable.begun(limits, time);
    } else if (!restoreAll(new ByteReader(chunk), readKey, table)) return undefined;
    yield;
  }
  return table;
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

function restoreAll<Thing>(
  reader: ByteReader,
  read: (reader: ByteReader) => Thing | undefined,
  table: { restore(thing: Thing): boolean },
): boolean {
  while (reader.remaining > 0) {
    const thing = read(reader);
    if (thing === undefined || reader.failed || !table.restore(thing)) return false;
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

function writeKey(writer: ByteWriter, held: HeldKey): void {
  writer.varint(held.expiresAt);
  writer.text(held.principal);
  writer.text(held.key);
  writer.raw(held.digest);
  writeReply(writer, settledReply(held.kept));
}

function readKey(reader: ByteReader): HeldKey | undefined {
  const expiresAt = reader.varint();
  const principal = readText(reader, keyPrincipalBytesMax);
  const key = readText(reader, requestLimits.keyBytesMax);
  const digest = reader.raw(requestLimits.digestBytes).slice();
  const kept = readReply(reader);
  if (kept === undefined || isTombstone(kept)) return undefined;
  return newHeldKey({ expiresAt, principal, key, digest, kept });
}
