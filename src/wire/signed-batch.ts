/**
 * What one index holds under Byzantine faults, as bytes: requests that their clients signed, or an entry without requests.
 *
 * Owns: the forms below, their digests, and the names of the requests in them. Leaves to others: signatures, which are looked at
 * nowhere here. Decoders are total: foreign bytes give `undefined`, and lengths and counts are compared with their limits first.
 * Called by the codecs of messages and records, by clients and primaries, and by whoever verifies a batch.
 *
 *   content   u8 0: the null request
 *             u8 1 batch, 2 time, 3 checkpoint, 4 report, 5 version, 6 configuration | varint time | payload up to the end
 *   payload   of a batch: u8 2 (version) | varint count | bundles
 *             of a report: `signed-report.ts`; of a version: its start (`version-codec.ts`); of a configuration: who come next, signed
 *             (`successor-codec.ts`)
 *   bundle    signature 64 | body
 *   body      key 32 | varint count | for each request: varint length, request (`request-codec.ts`)
 *
 * A **bundle** is what a client had to ask at one time, under one signature. It is ordered whole or not at all: whoever has it can
 * prove each request in it, and no proof has to be cut out of it. Its name is the SHA-256 of its body, so that it is the same under
 * whichever signature. A batch's digest is the SHA-256 of its content; the null request has none. Whatever says with which version a log
 * begins is refused. That a version starts need not be signed: it does only if all members have signed that they can run it.
 */
import { ByteReader, ByteWriter, hexOf } from "../base/bytes.js";
import { invariant } from "../base/invariant.js";
import type { Batch, Digest, RequestName } from "../consensus/bft/messages.js";
import type { Proposal } from "../model/entry.js";
import { administrator } from "../model/membership.js";
import { isInNameOf, type RequestKey } from "../model/request.js";
import { requestLimits } from "../model/request-limits.js";
import type { Hash } from "../ports/hash.js";
import { keyNameOf, publicKeyBytes } from "./key-name.js";
import { decodeRequest, encodeAttributedBatch, peekRequest, type SignedRequests } from "./request-codec.js";
import { decodeReconfiguration, signatureOfReconfiguration } from "./successor-codec.js";
import { decodeReports } from "./signed-report.js";
import { decodeVersionChange } from "./version-codec.js";

export const signatureBytes = 64;

const contentNull = 0;
/** Positions behind the null request are the codes: only ever append. */
const contentKinds = [
  "batch",
  "time",
  "checkpoint",
  "report",
  "version",
  "configuration",
] as const satisfies readonly Proposal["kind"][];
const signedBatchVersion = 2;
/** Version and count. */
const payloadHeadBytesMax = 9;
const noPayload = new Uint8Array(0);

/** The same on every replica of a cluster: who accepts more than others makes them stop. */
export interface BatchLimits {
  /** A payload. A bundle must fit into one; and so must a request of the largest size, or it is never ordered. */
  readonly batchBytesMax: number;
  /** Requests in one payload. */
  readonly batchRequestsMax: number;
}

/** What a client signed at one time. `requests` are encoded, each of a form that the executor takes. */
export interface Bundle {
  readonly name: RequestName;
  readonly key: Uint8Array;
  readonly signature: Uint8Array;
  readonly requests: readonly Uint8Array[];
  /** Of the requests, in their order. */
  readonly keys: readonly RequestKey[];
}

/** Of one bundle: enough for a signature to cost little beside what it is for, and less than any payload holds. */
const bundleRequestsMax = 1_024;
const bundleBytesMax = 65_536;

/** In their order, cut into what goes under one signature each. One request alone may be longer than a bundle should be. */
export function cutIntoBundles<Each extends { readonly bytes: Uint8Array }>(
  requests: readonly Each[],
): readonly (readonly Each[])[] {
  const bundles: Each[][] = [];
  let bundle: Each[] = [];
  let room = 0;
  for (const request of requests) {
    room -= request.bytes.length;
    if (bundle.length === 0 || bundle.length >= bundleRequestsMax || room < 0) {
      bundle = [];
      bundles.push(bundle);
      room = bundleBytesMax - request.bytes.length;
    }
    bundle.push(request);
  }
  return bundles;
}

/** What a client signs, by its digest (`digestOfBody`). */
export function encodeBundleBody(key: Uint8Array, requests: readonly Uint8Array[]): Uint8Array {
  invariant(key.length === publicKeyBytes, "a public key has 32 bytes");
  const writer = new ByteWriter(publicKeyBytes + 8 + requests.reduce((sum, { length }) => sum + length + 4, 0));
  writer.raw(key);
  writer.varint(requests.length);
  for (const request of requests) writer.bytes(request);
  return writer.finish();
}

export function encodeBundle(signature: Uint8Array, body: Uint8Array): Uint8Array {
  invariant(signature.length === signatureBytes, "a signature has 64 bytes");
  const bytes = new Uint8Array(signatureBytes + body.length);
  bytes.set(signature);
  bytes.set(body, signatureBytes);
  return bytes;
}

/** Views of `bytes`. */
export function decodeBundle(bytes: Uint8Array, limits: BatchLimits, hash: Hash): Bundle | undefined {
  if (bytes.length + payloadHeadBytesMax > limits.batchBytesMax) return undefined;
  const reader = new ByteReader(bytes);
  const bundle = readBundle(reader, bytes, limits.batchRequestsMax, hash);
  return reader.complete ? bundle : undefined;
}

export function digestOfBody(body: Uint8Array, hash: Hash): Digest {
  return hexOf(hash.sha256(body));
}

/** The payload of a proposal. The bundles were decoded before. */
export function encodeBundles(bundles: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter(16 + bundles.reduce((sum, { length }) => sum + length, 0));
  writer.u8(signedBatchVersion);
  writer.varint(bundles.length);
  for (const bundle of bundles) writer.raw(bundle);
  return writer.finish();
}

/** Behind those of a payload that `encodeBundles` has made. */
export function addBundles(payload: Uint8Array, bundles: readonly Uint8Array[]): Uint8Array {
  const reader = new ByteReader(payload);
  reader.skip(1);
  const count = reader.varint();
  const rest = reader.raw(reader.remaining);
  const writer = new ByteWriter(16 + bundles.reduce((sum, { length }) => sum + length, rest.length));
  writer.u8(signedBatchVersion);
  writer.varint(count + bundles.length);
  writer.raw(rest);
  for (const bundle of bundles) writer.raw(bundle);
  return writer.finish();
}

/** Views of `payload`. */
export function decodeBundles(payload: Uint8Array, limits: BatchLimits, hash: Hash): readonly Bundle[] | undefined {
  if (payload.length > limits.batchBytesMax) return undefined;
  const reader = new ByteReader(payload);
  if (reader.u8() !== signedBatchVersion) return undefined;
  const count = reader.varint();
  if (count === 0 || count > limits.batchRequestsMax) return undefined;
  const bundles: Bundle[] = [];
  let room = limits.batchRequestsMax;
  for (let at = 0; at < count && !reader.failed; at += 1) {
    const bundle = readBundle(reader, payload, room, hash);
    if (bundle === undefined) return undefined;
    room -= bundle.requests.length;
    bundles.push(bundle);
  }
  return reader.complete ? bundles : undefined;
}

/** Of a payload that was decoded before, without hashing anything: in the order of its bundles. */
export function bundleSignatures(payload: Uint8Array): readonly Pick<Bundle, "key" | "signature">[] {
  const reader = new ByteReader(payload);
  reader.skip(1);
  const bundles: { key: Uint8Array; signature: Uint8Array }[] = [];
  for (let left = reader.varint(); left > 0 && !reader.failed; left -= 1) {
    const signature = reader.raw(signatureBytes);
    const key = reader.raw(publicKeyBytes);
    bundles.push({ key, signature });
    for (let requests = reader.varint(); requests > 0 && !reader.failed; requests -= 1) reader.skip(reader.varint());
  }
  return bundles;
}

/** The payload that the executor knows, with the names of those who signed and without signatures: a copy. Of one that was decoded before. */
export function plainBatch(payload: Uint8Array): Uint8Array {
  const reader = new ByteReader(payload);
  reader.skip(1);
  const groups: SignedRequests[] = [];
  for (let left = reader.varint(); left > 0 && !reader.failed; left -= 1) {
    reader.skip(signatureBytes);
    const signer = keyNameOf(reader.raw(publicKeyBytes));
    const requests: Uint8Array[] = [];
    for (let count = reader.varint(); count > 0 && !reader.failed; count -= 1)
      requests.push(reader.raw(reader.varint()));
    groups.push({ signer, requests });
  }
  invariant(reader.complete, "what is executed was decoded before");
  return encodeAttributedBatch(groups, payload.length);
}

/** `undefined` for what has no place in the order. */
export function batchOf(proposal: Proposal, limits: BatchLimits, hash: Hash): Batch | undefined {
  const writer = new ByteWriter(contentHeadBytesMax + proposal.payload.length);
  if (!writeContent(writer, proposal)) return undefined;
  return decodeContent(writer.finish(), limits, hash);
}

/** A kind and a varint of at most eight bytes. */
const contentHeadBytesMax = 9;

/** False, and nothing is written, for what has no place in the order. */
export function writeContent(writer: ByteWriter, { kind, time, payload }: Proposal): boolean {
  if (kind === "noop") {
    if (time !== 0 || payload.length > 0) return false;
    writer.u8(contentNull);
    return true;
  }
  const code = (contentKinds as readonly Proposal["kind"][]).indexOf(kind);
  if (code < 0) return false;
  writer.u8(code + 1);
  writer.varint(time);
  writer.raw(payload);
  return true;
}

/** All of `bytes`, and nothing of it is shared. */
export function decodeContent(bytes: Uint8Array, limits: BatchLimits, hash: Hash): Batch | undefined {
  const reader = new ByteReader(bytes);
  const code = reader.u8();
  if (code === contentNull) return reader.complete ? nullBatchCopy() : undefined;
  const kind = contentKinds[code - 1];
  const time = reader.varint();
  if (kind === undefined || reader.failed || reader.remaining > limits.batchBytesMax) return undefined;
  // A copy, as it is kept for a window, and `bytes` may be a part of much more.
  const payload = new Uint8Array(reader.raw(reader.remaining));
  const requested = requestedIn(kind, payload, limits, hash);
  return requested && { digest: hexOf(hash.sha256(bytes)), proposal: { kind, time, payload }, ...requested };
}

/** What is asked for. A change of members is its administrator's request: whoever waits for it watches the primary. */
function requestedIn(
  kind: (typeof contentKinds)[number],
  payload: Uint8Array,
  limits: BatchLimits,
  hash: Hash,
): Pick<Batch, "requests" | "reconfiguration"> | undefined {
  if (kind === "batch") {
    const bundles = decodeBundles(payload, limits, hash);
    return bundles && { requests: bundles.map(({ name }) => name) };
  }
  if (kind !== "configuration") return isPayloadOf(kind, payload) ? { requests: [] } : undefined;
  const reconfiguration = decodeReconfiguration(payload);
  return reconfiguration && { requests: [reconfigurationName(payload, hash)], reconfiguration };
}

/** Of one that was decoded before. */
export function reconfigurationName(payload: Uint8Array, hash: Hash): RequestName {
  return { client: administrator, id: digestOfBody(signatureOfReconfiguration(payload).body, hash) };
}

function isPayloadOf(
  kind: Exclude<(typeof contentKinds)[number], "batch" | "configuration">,
  payload: Uint8Array,
): boolean {
  switch (kind) {
    case "report":
      return decodeReports(payload) !== undefined;
    case "version":
      return decodeVersionChange(payload)?.kind === "start";
    case "time":
    case "checkpoint":
      return payload.length === 0;
  }
}

function nullBatchCopy(): Batch {
  return { digest: "", proposal: { kind: "noop", time: 0, payload: noPayload }, requests: [] };
}

function readBundle(reader: ByteReader, within: Uint8Array, requestsMax: number, hash: Hash): Bundle | undefined {
  const signature = reader.raw(signatureBytes);
  const from = reader.position;
  const key = reader.raw(publicKeyBytes);
  const count = reader.varint();
  // Each request takes at least two bytes, so a lie about the count costs nothing.
  if (count === 0 || count > requestsMax || 2 * count > reader.remaining) return undefined;
  const client = keyNameOf(key);
  const requests: Uint8Array[] = [];
  const keys: RequestKey[] = [];
  for (let at = 0; at < count; at += 1) {
    const length = reader.varint();
    if (length > requestLimits.requestBytesMax) return undefined;
    const request = reader.raw(length);
    const requestKey = reader.failed ? undefined : keyOfRequest(request, client);
    if (requestKey === undefined) return undefined;
    requests.push(request);
    keys.push(requestKey);
  }
  const id = digestOfBody(within.subarray(from, reader.position), hash);
  return { name: { client, id }, key, signature, requests, keys };
}

/** If it is of a form that the executor takes. A session belongs to the key that opened it: nobody opens one in another's name. */
function keyOfRequest(bytes: Uint8Array, client: string): RequestKey | undefined {
  const key = peekRequest(bytes);
  if (key?.kind !== "open") return key;
  const request = decodeRequest(bytes);
  return request?.kind === "open" && isInNameOf(client, request.principal) ? key : undefined;
}
