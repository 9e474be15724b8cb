/**
 * The bytes between clients and replicas.
 *
 * Owns: one form for each `ClientMessage` and `ReplicaMessage`. Decoders are total: foreign bytes give `undefined`, never an
 * exception. Leaves to others: frames (`wire/frame.ts`, which carries the type), requests and replies (`request-codec.ts`,
 * `reply-codec.ts`). The payload of a request is exactly the encoded request, so a replica passes it on without encoding it again.
 *
 *   to a replica   1 request        the request
 *                  2 query          id varint, name text, input bytes, read u8 (1 linearizable, 2 lease,
 *                                 3 at least: index varint, 4 no older than: ms varint, 5 local)
 *                  3 events         as in events-codec.ts; the answer is a queryReply or queryRefused
 *                  4 confirm        key; the answer is a vote
 *                  5 signed         a bundle (signed-batch.ts), looked at by whoever verifies it
 *                  6 follow         session varint; the answers are votes
 *   to a client    1 reply          key, index varint, reply
 *                  2 requestRefused key, refusal
 *                  3 queryReply     id, index varint, age f64, status u8 (1 ok: bytes, 2 rejected: text, bytes, 3 failed: text)
 *                  4 queryRefused   id varint, refusal
 *                  5 leader         known u8 (0 | 1: id text), known u8 (0 | 1: address text)
 *                  6 vote           replica text, voters varint, key, index varint, digest bytes: SHA-256 of key and reply
 *                  7 votes          replica text, voters varint, session varint, index varint, count varint, for each: number varint, digest
 *   key            1 open: nonce text; 2 command, 3 resolve: session, number varint; 4 keepAlive, 5 close: session varint
 *   refusal        code u8, then its fields as varints or text
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { logIndex, requestNumber, sessionId, type LogIndex, type SessionId } from "../model/ids.js";
import { requestLimits } from "../model/request-limits.js";
import type { Hash } from "../ports/hash.js";
import type {
  AdmissionRefusal,
  ClientMessage,
  QueryOutcome,
  ReadLevel,
  ReplicaMessage,
  Reply,
  RequestKey,
  SaidOfCommand,
} from "../model/request.js";
import { readBytes, readText } from "./bounded.js";
import { decodeEventsMessage, encodeEventsMessage } from "./events-codec.js";
import { readReply, writeReply } from "./reply-codec.js";
import { decodeRequest, encodeRequestToSend } from "./request-codec.js";

/** Types of the messages in a frame, by direction. */
export const clientMessageTypes = {
  request: 1,
  query: 2,
  events: 3,
  confirm: 4,
  signed: 5,
  follow: 6,
} as const satisfies Record<ClientMessage["kind"], number>;
export const replicaMessageTypes = {
  reply: 1,
  requestRefused: 2,
  queryReply: 3,
  queryRefused: 4,
  leader: 5,
  vote: 6,
  votes: 7,
} as const satisfies Record<ReplicaMessage["kind"], number>;

type ReplyMessage = Extract<ReplicaMessage, { readonly kind: "reply" }>;
type QueryMessage = Extract<ClientMessage, { readonly kind: "query" }>;

const addressBytesMax = 512;
const replicaIdBytesMax = 32;
const digestBytes = 32;

const keyKinds = ["open", "command", "resolve", "keepAlive", "close"] as const satisfies readonly RequestKey["kind"][];
const refusalCodes = [
  "OVERLOADED",
  "NO_LEADER",
  "STOPPING",
  "TOO_LARGE",
  "GAP",
  "SESSION_NOT_HERE",
  "UNKNOWN_COMMAND",
  "INVALID_INPUT",
  "INDEX_NOT_REACHED",
  "TOO_STALE",
  "DISK_FULL",
  "QUARANTINED",
] as const satisfies readonly AdmissionRefusal["code"][];
const readKinds = [
  "linearizable",
  "lease",
  "atLeast",
  "maxStaleness",
  "local",
] as const satisfies readonly ReadLevel["kind"][];

export function encodeClientMessage(message: ClientMessage): Uint8Array {
  if (message.kind === "request") return encodeRequestToSend(message.request);
  if (message.kind === "signed") return message.bundle;
  if (message.kind === "events") return encodeEventsMessage(message);
  if (message.kind === "confirm") return encodeKey(message.key);
  if (message.kind === "follow") return encodeFollow(message.session);
  const writer = new ByteWriter(32 + message.name.length + message.input.length);
  writer.varint(message.id);
  writer.text(message.name);
  writer.bytes(message.input);
  writeLevel(writer, message.read);
  return writer.handOver();
}

export function decodeClientMessage(type: number, payload: Uint8Array): ClientMessage | undefined {
  if (type === clientMessageTypes.request) {
    const request = decodeRequest(payload);
    return request === undefined ? undefined : { kind: "request", request };
  }
  if (type === clientMessageTypes.signed) return { kind: "signed", bundle: payload };
  if (type === clientMessageTypes.events) return decodeEventsMessage(payload);
  if (type === clientMessageTypes.confirm) return decodeConfirm(payload);
  if (type === clientMessageTypes.follow) return decodeFollow(payload);
  return type === clientMessageTypes.query ? decodeQuery(payload) : undefined;
}

/** What a vote says of a reply. */
export function voteDigest({ sha256 }: Pick<Hash, "sha256">, key: RequestKey, reply: Reply): Uint8Array {
  const writer = new ByteWriter(128);
  writeKey(writer, key);
  writeReply(writer, reply);
  return sha256(writer.handOver());
}

function encodeKey(key: RequestKey): Uint8Array {
  const writer = new ByteWriter(32);
  writeKey(writer, key);
  return writer.handOver();
}

function decodeConfirm(payload: Uint8Array): ClientMessage | undefined {
  const reader = new ByteReader(payload);
  const key = readKey(reader);
  return key === undefined || !reader.complete ? undefined : { kind: "confirm", key };
}

function encodeFollow(session: SessionId): Uint8Array {
  const writer = new ByteWriter(8);
  writer.varint(session);
  return writer.handOver();
}

function decodeFollow(payload: Uint8Array): ClientMessage | undefined {
  const reader = new ByteReader(payload);
  const session = sessionId(reader.varint());
  return session === undefined || !reader.complete ? undefined : { kind: "follow", session };
}

function decodeQuery(payload: Uint8Array): QueryMessage | undefined {
  const reader = new ByteReader(payload);
  const id = reader.varint();
  const name = readText(reader, requestLimits.nameBytesMax);
  const input = readBytes(reader, requestLimits.requestBytesMax);
  const read = readLevel(reader);
  return read === undefined || !reader.complete ? undefined : { kind: "query", id, name, input, read };
}

function writeLevel(writer: ByteWriter, read: ReadLevel): void {
  writer.u8(readKinds.indexOf(read.kind) + 1);
  if (read.kind === "atLeast") writer.varint(read.index);
  else if (read.kind === "maxStaleness") writer.varint(read.ms);
}

/** Reads on from where `reader` stands; the caller checks `complete`. */
function readLevel(reader: ByteReader): ReadLevel | undefined {
  const kind = readKinds[reader.u8() - 1];
  if (kind === "maxStaleness") return { kind, ms: reader.varint() };
  if (kind !== "atLeast") return kind === undefined ? undefined : { kind };
  const index = readIndex(reader);
  return index === undefined ? undefined : { kind, index };
}

export function encodeReplicaMessage(message: ReplicaMessage): Uint8Array {
  const writer = new ByteWriter(64);
  switch (message.kind) {
    case "reply":
      writeReplyMessage(writer, message);
      break;
    case "requestRefused":
      writeKey(writer, message.key);
      writeAdmissionRefusal(writer, message.refusal);
      break;
    case "queryReply":
      writer.varint(message.id);
      writer.varint(message.index);
      writer.f64(message.ageMs);
      writeQueryOutcome(writer, message.outcome);
      break;
    case "queryRefused":
      writer.varint(message.id);
      writeAdmissionRefusal(writer, message.refusal);
      break;
    case "vote":
      writer.text(message.replica);
      writer.varint(message.voters);
      writeKey(writer, message.key);
      writer.varint(message.index);
      writer.bytes(message.digest);
      break;
    case "votes":
      writer.text(message.replica);
      writer.varint(message.voters);
      writer.varint(message.session);
      writer.varint(message.index);
      writer.varint(message.said.length);
      for (const { number, digest } of message.said) {
        writer.varint(number);
        writer.raw(digest);
      }
      break;
    case "leader":
      writeOptionalText(writer, message.leader);
      writeOptionalText(writer, message.address);
      break;
  }
  return writer.handOver();
}

export function writeReplyMessage(writer: ByteWriter, { key, index, reply }: ReplyMessage): void {
  writeKey(writer, key);
  writer.varint(index);
  writeReply(writer, reply);
}

export function decodeReplicaMessage(type: number, payload: Uint8Array): ReplicaMessage | undefined {
  const reader = new ByteReader(payload);
  const message = readReplicaMessage(reader, type);
  return reader.complete ? message : undefined;
}

function readReplicaMessage(reader: ByteReader, type: number): ReplicaMessage | undefined {
  switch (type) {
    case replicaMessageTypes.reply: {
      const key = readKey(reader);
      const index = readIndex(reader);
      const reply = readReply(reader);
      if (key === undefined || index === undefined || reply === undefined) return undefined;
      return { kind: "reply", key, index, reply };
    }
    case replicaMessageTypes.requestRefused: {
      const key = readKey(reader);
      const refusal = readAdmissionRefusal(reader);
      return key === undefined || refusal === undefined ? undefined : { kind: "requestRefused", key, refusal };
    }
    case replicaMessageTypes.queryReply:
      return readQueryReply(reader);
    case replicaMessageTypes.queryRefused: {
      const id = reader.varint();
      const refusal = readAdmissionRefusal(reader);
      return refusal === undefined ? undefined : { kind: "queryRefused", id, refusal };
    }
    case replicaMessageTypes.vote:
      return readVote(reader);
    case replicaMessageTypes.votes:
      return readVotes(reader);
    case replicaMessageTypes.leader: {
      const leader = readOptionalText(reader, replicaIdBytesMax);
      return { kind: "leader", leader, address: readOptionalText(reader, addressBytesMax) };
    }
    default:
      return undefined;
  }
}

function readVote(reader: ByteReader): ReplicaMessage | undefined {
  const replica = readText(reader, replicaIdBytesMax);
  const voters = reader.varint();
  const key = readKey(reader);
  const index = readIndex(reader);
  const digest = readBytes(reader, digestBytes);
  if (key === undefined || index === undefined || digest.length !== digestBytes) return undefined;
  return { kind: "vote", replica, voters, key, index, digest };
}

function readVotes(reader: ByteReader): ReplicaMessage | undefined {
  const replica = readText(reader, replicaIdBytesMax);
  const voters = reader.varint();
  const session = sessionId(reader.varint());
  const index = readIndex(reader);
  const count = reader.varint();
  const said: SaidOfCommand[] = [];
  while (said.length < count && !reader.failed) {
    const number = requestNumber(reader.varint());
    if (number === undefined) return undefined;
    said.push({ number, digest: reader.raw(digestBytes) });
  }
  if (session === undefined || index === undefined || reader.failed) return undefined;
  return { kind: "votes", replica, voters, session, index, said };
}

function readQueryReply(reader: ByteReader): ReplicaMessage | undefined {
  const id = reader.varint();
  const index = readIndex(reader);
  const ageMs = reader.f64();
  const outcome = readQueryOutcome(reader);
  if (index === undefined || outcome === undefined || !(ageMs >= 0)) return undefined;
  return { kind: "queryReply", id, index, ageMs, outcome };
}

function writeKey(writer: ByteWriter, key: RequestKey): void {
  writer.u8(keyKinds.indexOf(key.kind) + 1);
  switch (key.kind) {
    case "open":
      return writer.text(key.nonce);
    case "command":
    case "resolve":
      writer.varint(key.session);
      return writer.varint(key.number);
    case "keepAlive":
    case "close":
      return writer.varint(key.session);
  }
}

/** Reads on from where `reader` stands; the caller checks `failed`. */
function readKey(reader: ByteReader): RequestKey | undefined {
  const kind = keyKinds[reader.u8() - 1];
  if (kind === "open") return { kind, nonce: readText(reader, requestLimits.nonceBytesMax) };
  const session = sessionId(reader.varint());
  if (kind === undefined || session === undefined) return undefined;
  if (kind === "keepAlive" || kind === "close") return { kind, session };
  const number = requestNumber(reader.varint());
  return number === undefined ? undefined : { kind, session, number };
}

function writeAdmissionRefusal(writer: ByteWriter, refusal: AdmissionRefusal): void {
  writer.u8(refusalCodes.indexOf(refusal.code));
  switch (refusal.code) {
    case "OVERLOADED":
      writer.varint(refusal.queued);
      return writer.varint(refusal.limit);
    case "NO_LEADER":
    case "STOPPING":
    case "DISK_FULL":
    case "QUARANTINED":
      return;
    case "TOO_LARGE":
      writer.varint(refusal.bytes);
      return writer.varint(refusal.limit);
    case "GAP":
      return writer.varint(refusal.next);
    case "SESSION_NOT_HERE":
      return writer.varint(refusal.session);
    case "UNKNOWN_COMMAND":
      return writer.text(refusal.name);
    case "INVALID_INPUT":
      return writer.text(refusal.message);
    case "INDEX_NOT_REACHED":
      writer.varint(refusal.asked);
      return writer.varint(refusal.executed);
    case "TOO_STALE":
      writer.f64(refusal.ageMs);
      return writer.varint(refusal.limitMs);
  }
}

/** Reads on from where `reader` stands; the caller checks `failed`. */
function readAdmissionRefusal(reader: ByteReader): AdmissionRefusal | undefined {
  const code = refusalCodes[reader.u8()];
  switch (code) {
    case "OVERLOADED":
      return { code, queued: reader.varint(), limit: reader.varint() };
    case "NO_LEADER":
    case "STOPPING":
    case "DISK_FULL":
    case "QUARANTINED":
      return { code };
    case "TOO_LARGE":
      return { code, bytes: reader.varint(), limit: reader.varint() };
    case "GAP": {
      const next = requestNumber(reader.varint());
      return next === undefined ? undefined : { code, next };
    }
    case "SESSION_NOT_HERE": {
      const session = sessionId(reader.varint());
      return session === undefined ? undefined : { code, session };
    }
    case "UNKNOWN_COMMAND":
      return { code, name: readText(reader, requestLimits.nameBytesMax) };
    case "INVALID_INPUT":
      return { code, message: readText(reader, requestLimits.messageBytesMax) };
    case "INDEX_NOT_REACHED": {
      const asked = readIndex(reader);
      const executed = readIndex(reader);
      return asked === undefined || executed === undefined ? undefined : { code, asked, executed };
    }
    case "TOO_STALE": {
      const ageMs = reader.f64();
      return ageMs >= 0 ? { code, ageMs, limitMs: reader.varint() } : undefined;
    }
    default:
      return undefined;
  }
}

function writeQueryOutcome(writer: ByteWriter, outcome: QueryOutcome): void {
  switch (outcome.status) {
    case "ok":
      writer.u8(1);
      return writer.bytes(outcome.output);
    case "rejected":
      writer.u8(2);
      writer.text(outcome.code);
      return writer.bytes(outcome.data);
    case "failed":
      writer.u8(3);
      return writer.text(outcome.message);
  }
}

function readQueryOutcome(reader: ByteReader): QueryOutcome | undefined {
  switch (reader.u8()) {
    case 1:
      return { status: "ok", output: readBytes(reader, requestLimits.replyBytesMax) };
    case 2: {
      const code = readText(reader, requestLimits.codeBytesMax);
      return { status: "rejected", code, data: readBytes(reader, requestLimits.replyBytesMax) };
    }
    case 3:
      return { status: "failed", message: readText(reader, requestLimits.messageBytesMax) };
    default:
      return undefined;
  }
}

function readIndex(reader: ByteReader): LogIndex | undefined {
  return logIndex(reader.varint());
}

function writeOptionalText(writer: ByteWriter, text: string | undefined): void {
  writer.u8(text === undefined ? 0 : 1);
  if (text !== undefined) writer.text(text);
}

function readOptionalText(reader: ByteReader, bytesMax: number): string | undefined {
  const known = reader.u8();
  if (known > 1) reader.fail();
  return known === 1 ? readText(reader, bytesMax) : undefined;
}
