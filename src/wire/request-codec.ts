/**
 * The bytes of requests, of the batches that entries carry, and of replies.
 *
 * Owns: one form for each value. Decoders are total: foreign bytes give `undefined`, never an exception, and a length is
 * compared with its limit before anything of that length is made. What `decodeRequest` takes, `encodeRequest` gives back byte for
 * byte, so a request is encoded once, by its client, and only copied afterwards. Called by client, host, leader and executor.
 *
 *   request  kind u8, then by kind
 *     1 open       nonce text, principal text
 *     2 command    session, number, acknowledgedBelow varint, name text, input bytes, keyed u8 (0 | 1: principal text, key text, digest 32)
 *     3 resolve    session, number varint
 *     4 keepAlive  session, acknowledgedBelow varint
 *     5 close      session varint
 *   batch    version u8 (1), count varint, then for each request: length varint, request
 *            version u8 (3), count varint, then for each group: signer text, count varint, requests as above
 *
 * `wire/reply-codec.ts` holds the replies.
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { invariant } from "../base/invariant.js";
import { requestNumber, sessionId } from "../model/ids.js";
import type { RequestNumber, SessionId } from "../model/ids.js";
import { requestLimits } from "../model/request-limits.js";
import { EncodedCommand, keyOf } from "../model/request.js";
import type { CommandRequest, IdempotencyKey, Request, RequestKey } from "../model/request.js";
import { readName, readText, skipBytes, skipText } from "./bounded.js";

const kindOpen = 1;
const kindCommand = 2;
const kindResolve = 3;
const kindKeepAlive = 4;
const kindClose = 5;

const batchVersion = 1;
/** 2 is that of batches with signatures (`signed-batch.ts`), which are not executed as they are. */
const attributedVersion = 3;

export function encodeRequest(request: Request): Uint8Array {
  const writer = new ByteWriter(sizeHint(request));
  writeRequest(writer, request);
  invariant(writer.length <= requestLimits.requestBytesMax, "a request is within its limit before it is encoded");
  return writer.finish();
}

/** As `encodeRequest`, for who soon forgets the bytes. */
export function encodeRequestToSend(request: Request): Uint8Array {
  const writer = new ByteWriter(sizeHint(request));
  writeRequest(writer, request);
  invariant(writer.length <= requestLimits.requestBytesMax, "a request is within its limit before it is encoded");
  return writer.handOver();
}

export function decodeRequest(bytes: Uint8Array): Request | undefined {
  if (bytes.length > requestLimits.requestBytesMax) return undefined;
  const reader = new ByteReader(bytes);
  const request = readRequest(reader, bytes, createEncoded);
  return reader.complete && request !== undefined ? plainRequest(request) : undefined;
}

/**
 * What admission needs of an encoded request. Takes exactly what `decodeRequest` takes, so a batch of these always decodes, and
 * no client can hand the replicas an entry that halts them. Commands are looked through without making anything of them.
 */
export function peekRequest(bytes: Uint8Array): RequestKey | undefined {
  if (bytes[0] === kindCommand && bytes.length <= requestLimits.requestBytesMax) return peekCommand(bytes);
  const request = decodeRequest(bytes);
  return request === undefined ? undefined : keyOf(request);
}

/** A memory copy for each request: they are encoded already, and `peekRequest` has taken them. */
export function encodeBatch(requests: readonly Uint8Array[]): Uint8Array {
  invariant(requests.length <= requestLimits.batchCountMax, "a batch is within its count before it is encoded");
  let size = 8;
  for (const request of requests) size += request.length + 4;
  const writer = new ByteWriter(size);
  writer.u8(batchVersion);
  writer.varint(requests.length);
  for (const request of requests) writer.bytes(request);
  return writer.finishLarge();
}

/** Requests and who signed them, as was verified: a session serves whoever opened it, and nobody else. */
export interface SignedRequests {
  /** As in the principal of the sessions that it opens: that, or that and `/` and more. */
  readonly signer: string;
  readonly requests: readonly Uint8Array[];
}

export function encodeAttributedBatch(groups: readonly SignedRequests[], bytesHint = 256): Uint8Array {
  const writer = new ByteWriter(bytesHint);
  writer.u8(attributedVersion);
  writer.varint(groups.length);
  for (const { signer, requests } of groups) {
    writer.text(signer);
    writer.varint(requests.length);
    for (const request of requests) writer.bytes(request);
  }
  return writer.finish();
}

export interface AttributedRequests<Command extends CommandRequest> {
  readonly requests: (Command | OtherRequest)[];
  /** One for each request; undefined if nobody signed, since everybody who takes part is believed. */
  readonly signers: readonly string[] | undefined;
}

/** Commands are read into what `create` makes. */
type Create<Made extends EncodedCommand> = (bytes: Uint8Array) => Made;
type OtherRequest = Exclude<Request, CommandRequest>;

/** Of either version. Inputs and digests are views of `payload`: whoever keeps one copies it. */
export function decodeAttributed<Made extends EncodedCommand>(
  payload: Uint8Array,
  create: Create<Made>,
): AttributedRequests<Made> | undefined {
  const reader = new ByteReader(payload);
  const requests: (Made | OtherRequest)[] = [];
  const version = reader.u8();
  const read = (): Made | OtherRequest | undefined => readRequest(reader, payload, create);
  if (version === batchVersion) readRequests(reader, requests, read);
  const signers = version === attributedVersion ? readGroups(reader, requests, read) : undefined;
  const isKnown = version === batchVersion || version === attributedVersion;
  return isKnown && reader.complete ? { requests, signers } : undefined;
}

export function decodeBatch(payload: Uint8Array): Request[] | undefined {
  return decodeAttributed(payload, createEncoded)?.requests.map(plainRequest);
}

function createEncoded(bytes: Uint8Array): EncodedCommand {
  return new EncodedCommand(bytes);
}

function plainRequest(request: EncodedCommand | OtherRequest): Request {
  if (request.kind !== "command") return request;
  const { kind, session, number, acknowledgedBelow, name, input, idempotency } = request;
  return { kind, session, number, acknowledgedBelow, name, input, idempotency };
}

function readGroups<Each>(reader: ByteReader, requests: Each[], read: () => Each | undefined): readonly string[] {
  const signers: string[] = [];
  const count = reader.varint();
  for (let at = 0; at < count && !reader.failed; at += 1) {
    const signer = readText(reader, requestLimits.principalBytesMax);
    readRequests(reader, requests, read);
    while (signers.length < requests.length) signers.push(signer);
  }
  return signers;
}

/** Behind those that are there already. */
function readRequests<Each>(reader: ByteReader, requests: Each[], read: () => Each | undefined): void {
  const count = reader.varint();
  if (requests.length + count > requestLimits.batchCountMax || count > reader.remaining) return reader.fail();
  for (let at = 0; at < count && !reader.failed; at += 1) {
    const length = reader.varint();
    const end = reader.position + length;
    const request = length > requestLimits.requestBytesMax ? undefined : read();
    if (request === undefined || reader.position !== end) return reader.fail();
    requests.push(request);
  }
}

function writeRequest(writer: ByteWriter, request: Request): void {
  switch (request.kind) {
    case "open":
      writer.u8(kindOpen);
      writer.text(request.nonce);
      writer.text(request.principal);
      return;
    case "command":
      return writeCommand(writer, request);
    case "resolve":
      writer.u8(kindResolve);
      writer.varint(request.session);
      writer.varint(request.number);
      return;
    case "keepAlive":
      writer.u8(kindKeepAlive);
      writer.varint(request.session);
      writer.varint(request.acknowledgedBelow);
      return;
    case "close":
      writer.u8(kindClose);
      writer.varint(request.session);
      return;
  }
}

/** Reads on from where `reader` stands; the caller checks where it then stands and `failed`. */
function readRequest<Made extends EncodedCommand>(
  reader: ByteReader,
  bytes: Uint8Array,
  create: Create<Made>,
): Made | OtherRequest | undefined {
  switch (reader.u8()) {
    case kindOpen: {
      const nonce = readText(reader, requestLimits.nonceBytesMax);
      return { kind: "open", nonce, principal: readText(reader, requestLimits.principalBytesMax) };
    }
    case kindCommand:
      return readCommand(reader, create(bytes));
    case kindResolve: {
      const session = readSession(reader);
      const number = readNumber(reader);
      return session === undefined || number === undefined ? undefined : { kind: "resolve", session, number };
    }
    case kindKeepAlive: {
      const session = readSession(reader);
      const acknowledgedBelow = readNumber(reader);
      if (session === undefined || acknowledgedBelow === undefined) return undefined;
      return { kind: "keepAlive", session, acknowledgedBelow };
    }
    case kindClose: {
      const session = readSession(reader);
      return session === undefined ? undefined : { kind: "close", session };
    }
    default:
      reader.fail();
      return undefined;
  }
}

function writeCommand(writer: ByteWriter, command: CommandRequest): void {
  writer.u8(kindCommand);
  writer.varint(command.session);
  writer.varint(command.number);
  writer.varint(command.acknowledgedBelow);
  writer.text(command.name);
  writer.bytes(command.input);
  if (command.idempotency === undefined) {
    writer.u8(0);
    return;
  }
  const { principal, key, digest } = command.idempotency;
  invariant(digest.length === requestLimits.digestBytes, "an idempotency digest is a SHA-256");
  writer.u8(1);
  writer.text(principal);
  writer.text(key);
  writer.raw(digest);
}

function readCommand<Made extends EncodedCommand>(reader: ByteReader, command: Made): Made | undefined {
  const session = readSession(reader);
  const number = readNumber(reader);
  const acknowledgedBelow = readNumber(reader);
  if (session === undefined || number === undefined || acknowledgedBelow === undefined) return undefined;
  if (acknowledgedBelow > number) {
    // Nobody holds the reply to what is only being asked.
    reader.fail();
    return undefined;
  }
  command.session = session;
  command.number = number;
  command.acknowledgedBelow = acknowledgedBelow;
  command.name = readName(reader, requestLimits.nameBytesMax);
  const inputBytes = skipBytes(reader, requestLimits.requestBytesMax);
  command.inputEnd = reader.position;
  command.inputFrom = reader.position - inputBytes;
  command.idempotency = readIdempotency(reader);
  return command;
}

/** In step with `readCommand`, field by field. */
function peekCommand(bytes: Uint8Array): RequestKey | undefined {
  const reader = new ByteReader(bytes);
  reader.skip(1);
  const session = readSession(reader);
  const number = readNumber(reader);
  const acknowledgedBelow = readNumber(reader);
  if (session === undefined || number === undefined || acknowledgedBelow === undefined) return undefined;
  if (acknowledgedBelow > number) return undefined;
  skipText(reader, requestLimits.nameBytesMax);
  skipBytes(reader, requestLimits.requestBytesMax);
  readIdempotency(reader);
  return reader.complete ? { kind: "command", session, number } : undefined;
}

function readIdempotency(reader: ByteReader): IdempotencyKey | undefined {
  const keyed = reader.u8();
  if (keyed === 0) return undefined;
  if (keyed !== 1) reader.fail();
  const principal = readText(reader, requestLimits.principalBytesMax);
  const key = readText(reader, requestLimits.keyBytesMax);
  return { principal, key, digest: reader.raw(requestLimits.digestBytes) };
}

function readSession(reader: ByteReader): SessionId | undefined {
  const session = sessionId(reader.varint());
  if (session === undefined) reader.fail();
  return session;
}

function readNumber(reader: ByteReader): RequestNumber | undefined {
  const number = requestNumber(reader.varint());
  if (number === undefined) reader.fail();
  return number;
}

/** Right for nearly all; a writer grows by itself where it is not. */
function sizeHint(request: Request): number {
  return request.kind === "command" ? 64 + request.name.length + request.input.length : 64;
}
