/**
 * The bytes of replies: what executing a request gave.
 *
 * Owns: one form for each reply; the same bytes travel to clients and lie in the encoded session table. Decoders are total.
 * Leaves to others: which reply belongs to which request (the client's protocol names it by its key).
 *
 *   reply    status u8, then by status
 *     1 ok        output bytes, expires
 *     2 rejected  code text, data bytes, expires
 *     3 failed    message text, expires
 *     4 refused   code u8, then its fields as varints or text
 *     5 opened    session varint
 *     6 executed  known u8 (0 | 1: reply; a "resolved" in a "resolved" does not exist)
 *     7 tombstoned
 *     8 alive
 *     9 closed
 *   expires  u8 (0 | 1: agreed time varint)
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { requestNumber, sessionId } from "../model/ids.js";
import { requestLimits } from "../model/request-limits.js";
import { executedRefusalCodes, type ExecutedRefusal, type Reply } from "../model/request.js";
import { readBytes, readText } from "./bounded.js";

const statusOk = 1;
const statusRejected = 2;
const statusFailed = 3;
const statusRefused = 4;
const statusOpened = 5;
const statusExecuted = 6;
const statusTombstoned = 7;
const statusAlive = 8;
const statusClosed = 9;

export function encodeReply(reply: Reply): Uint8Array {
  const writer = new ByteWriter(reply.status === "ok" ? reply.output.length + 16 : 64);
  writeReply(writer, reply);
  return writer.finish();
}

export function decodeReply(bytes: Uint8Array): Reply | undefined {
  const reader = new ByteReader(bytes);
  const reply = readReply(reader);
  return reader.complete ? reply : undefined;
}

export function writeReply(writer: ByteWriter, reply: Reply): void {
  switch (reply.status) {
    case "ok":
      writer.u8(statusOk);
      writer.bytes(reply.output);
      return writeExpires(writer, reply.expiresAt);
    case "rejected":
      writer.u8(statusRejected);
      writer.text(reply.code);
      writer.bytes(reply.data);
      return writeExpires(writer, reply.expiresAt);
    case "failed":
      writer.u8(statusFailed);
      writer.text(reply.message);
      return writeExpires(writer, reply.expiresAt);
    case "refused":
      writer.u8(statusRefused);
      return writeRefusal(writer, reply.refusal);
    case "opened":
      writer.u8(statusOpened);
      return writer.varint(reply.session);
    case "resolved":
      if (reply.outcome.kind === "tombstoned") return writer.u8(statusTombstoned);
      writer.u8(statusExecuted);
      writer.u8(reply.outcome.reply === undefined ? 0 : 1);
      if (reply.outcome.reply !== undefined) writeReply(writer, reply.outcome.reply);
      return;
    case "alive":
      return writer.u8(statusAlive);
    case "closed":
      return writer.u8(statusClosed);
  }
}

/** Reads on from where `reader` stands; the caller checks `failed`. */
export function readReply(reader: ByteReader): Reply | undefined {
  const status = reader.u8();
  switch (status) {
    case statusExecuted: {
      const known = readFlag(reader);
      const reply = known ? readPlainReply(reader, reader.u8()) : undefined;
      return { status: "resolved", outcome: { kind: "executed", reply } };
    }
    case statusTombstoned:
      return { status: "resolved", outcome: { kind: "tombstoned" } };
    default:
      return readPlainReply(reader, status);
  }
}

function readPlainReply(reader: ByteReader, status: number): Reply | undefined {
  switch (status) {
    case statusOk: {
      const output = readBytes(reader, requestLimits.replyBytesMax);
      return { status: "ok", output, expiresAt: readExpires(reader) };
    }
    case statusRejected: {
      const code = readText(reader, requestLimits.codeBytesMax);
      const data = readBytes(reader, requestLimits.replyBytesMax);
      return { status: "rejected", code, data, expiresAt: readExpires(reader) };
    }
    case statusFailed: {
      const message = readText(reader, requestLimits.messageBytesMax);
      return { status: "failed", message, expiresAt: readExpires(reader) };
    }
    case statusRefused: {
      const refusal = readRefusal(reader);
      return refusal === undefined ? undefined : { status: "refused", refusal };
    }
    case statusOpened: {
      const session = sessionId(reader.varint());
      if (session !== undefined) return { status: "opened", session };
      break;
    }
    case statusAlive:
      return { status: "alive" };
    case statusClosed:
      return { status: "closed" };
    default:
      break;
  }
  reader.fail();
  return undefined;
}

function writeRefusal(writer: ByteWriter, refusal: ExecutedRefusal): void {
  writer.u8(executedRefusalCodes.indexOf(refusal.code));
  switch (refusal.code) {
    case "SESSION_UNKNOWN":
    case "SESSION_EXPIRED":
      return writer.varint(refusal.session);
    case "OUT_OF_ORDER":
      writer.varint(refusal.number);
      return writer.varint(refusal.next);
    case "TOMBSTONED":
    case "REPLY_RELEASED":
      return writer.varint(refusal.number);
    case "TOO_MANY_REPLIES":
    case "TOO_MANY_TOMBSTONES":
      writer.varint(refusal.kept);
      return writer.varint(refusal.limit);
    case "IDEMPOTENCY_CONFLICT":
      return writer.text(refusal.key);
    case "IDEMPOTENCY_FULL":
      return writer.varint(refusal.limit);
  }
}

function readRefusal(reader: ByteReader): ExecutedRefusal | undefined {
  const code = executedRefusalCodes[reader.u8()];
  if (code === undefined) {
    reader.fail();
    return undefined;
  }
  if (code === "IDEMPOTENCY_CONFLICT") return { code, key: readText(reader, requestLimits.keyBytesMax) };
  const first = reader.varint();
  if (code === "IDEMPOTENCY_FULL") return { code, limit: first };
  if (code === "TOO_MANY_REPLIES" || code === "TOO_MANY_TOMBSTONES")
    return { code, kept: first, limit: reader.varint() };
  const session = sessionId(first);
  const number = requestNumber(first);
  if (session === undefined || number === undefined) {
    reader.fail();
    return undefined;
  }
  if (code === "SESSION_UNKNOWN" || code === "SESSION_EXPIRED") return { code, session };
  if (code !== "OUT_OF_ORDER") return { code, number };
  const next = requestNumber(reader.varint());
  if (next !== undefined) return { code, number, next };
  reader.fail();
  return undefined;
}

function writeExpires(writer: ByteWriter, expiresAt: number | undefined): void {
  writer.u8(expiresAt === undefined ? 0 : 1);
  if (expiresAt !== undefined) writer.varint(expiresAt);
}

function readExpires(reader: ByteReader): number | undefined {
  return readFlag(reader) ? reader.varint() : undefined;
}

function readFlag(reader: ByteReader): boolean {
  const flag = reader.u8();
  if (flag > 1) reader.fail();
  return flag === 1;
}
