/**
 * What one replica's host says to another's: requests on their way to the leader, and what the leader would not take.
 *
 * Owns: the bytes. Total on foreign bytes. Called by `replica/host.ts`.
 *
 *   requests  kind u8 (1), then length varint and encoded request (`wire/request-codec.ts`) until the end
 *   accusation  kind u8 (4), incarnation varint, last position varint, executed index varint, spared u8
 *   report    kind u8 (3), then an encoded report
 *   refused   kind u8 (2), then as `requestRefused` in `wire/client-codec.ts`
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { logIndex } from "../model/ids.js";
import type { Accusation } from "../model/quarantine.js";
import { requestLimits } from "../model/request-limits.js";
import type { ReplicaMessage } from "../model/request.js";
import { decodeReplicaMessage, encodeReplicaMessage, replicaMessageTypes } from "./client-codec.js";

export type HostMessage =
  | { readonly kind: "requests"; readonly requests: readonly Uint8Array[] }
  /** An encoded report (`wire/checkpoint-codec.ts`) that the leader is asked to put into the order. */
  | { readonly kind: "report"; readonly report: Uint8Array }
  /** The receiver was named, as the sender has executed it. */
  | { readonly kind: "accusation"; readonly accusation: Accusation }
  | { readonly kind: "refused"; readonly message: Extract<ReplicaMessage, { readonly kind: "requestRefused" }> };

/** A request of the largest size is longer under a signature. */
const travellingBytesMax = requestLimits.requestBytesMax + 4_096;

const requestsKind = 1;
const refusedKind = 2;
const reportKind = 3;
const accusationKind = 4;

export function encodeHostMessage(message: HostMessage): Uint8Array {
  const writer = new ByteWriter(message.kind === "requests" ? sizeOf(message.requests) : 128);
  if (message.kind === "requests") {
    writer.u8(requestsKind);
    for (const request of message.requests) writer.bytes(request);
  } else if (message.kind === "report") {
    writer.u8(reportKind);
    writer.raw(message.report);
  } else if (message.kind === "accusation") {
    const { incarnation, to, at, isSpared } = message.accusation;
    writer.u8(accusationKind);
    writer.varint(incarnation);
    writer.varint(to);
    writer.varint(at);
    writer.u8(isSpared ? 1 : 0);
  } else {
    writer.u8(refusedKind);
    writer.raw(encodeReplicaMessage(message.message));
  }
  return writer.handOver();
}

/** Requests as messages of at most `bytesMax` each, or of one request that is longer: none is too long for a frame. */
export function encodeForwarded(requests: readonly Uint8Array[], bytesMax: number): readonly Uint8Array[] {
  const messages: Uint8Array[] = [];
  let start = 0;
  let size = 0;
  requests.forEach((request, at) => {
    if (at > start && size + request.length + 4 > bytesMax) {
      messages.push(encodeHostMessage({ kind: "requests", requests: requests.slice(start, at) }));
      start = at;
      size = 0;
    }
    size += request.length + 4;
  });
  if (start < requests.length) {
    messages.push(encodeHostMessage({ kind: "requests", requests: requests.slice(start) }));
  }
  return messages;
}

export function decodeHostMessage(bytes: Uint8Array): HostMessage | undefined {
  const reader = new ByteReader(bytes);
  const kind = reader.u8();
  if (kind === refusedKind) {
    const message = decodeReplicaMessage(replicaMessageTypes.requestRefused, reader.raw(reader.remaining));
    return message?.kind === "requestRefused" ? { kind: "refused", message } : undefined;
  }
  if (kind === reportKind) return { kind: "report", report: reader.raw(reader.remaining) };
  if (kind === accusationKind) return accusationFrom(reader);
  if (kind !== requestsKind) return undefined;
  const requests: Uint8Array[] = [];
  while (reader.remaining > 0) {
    const request = reader.bytes();
    if (request.length > travellingBytesMax) return undefined;
    requests.push(request);
  }
  return reader.failed ? undefined : { kind: "requests", requests };
}

function accusationFrom(reader: ByteReader): HostMessage | undefined {
  const incarnation = reader.varint();
  const to = logIndex(reader.varint());
  const at = logIndex(reader.varint());
  const isSpared = reader.u8() === 1;
  if (!reader.complete || to === undefined || at === undefined) return undefined;
  return { kind: "accusation", accusation: { incarnation, to, at, isSpared } };
}

function sizeOf(requests: readonly Uint8Array[]): number {
  let size = 8;
  for (const request of requests) size += request.length + 4;
  return size;
}
