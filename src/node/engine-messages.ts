/**
 * What a replica and the thread of its engine say to each other.
 *
 * Owns: the vocabulary around the channel (`replica/channel.ts`), and how payloads travel: those of one batch are copied into one new
 * buffer, whose ownership is handed over. A payload is often a small view of a large buffer, which would otherwise be copied whole, and it
 * may still be needed on this side, so it cannot be handed over itself.
 */
import type { Membership } from "../model/membership.js";
import type { ReplicaId } from "../model/ids.js";
import type { ToEngine, ToHost } from "../replica/channel.js";
import type { EngineFigures } from "../replica/engine-side.js";
import type { EngineStart, OpenLogOptions } from "../replica/open-engine.js";
import type { FoundLog, OpenRefused } from "../replica/open-replica.js";
import type { LongestTurns } from "./event-loop.js";

/** The worker's `workerData`. */
export interface EngineTask extends OpenLogOptions {
  /** One number, which the host changes with each of its ticks: it stands still while a call holds the host's thread. */
  readonly hostTicks: Int32Array;
  /** Where the thread tells how long its turns are, if anybody wants to know. */
  readonly turns: LongestTurns | undefined;
}

export type ToEngineThread =
  /** Start over the opened log, and listen for replicas at this address. */
  | { readonly kind: "start"; readonly start: EngineStart; readonly address: string }
  | { readonly kind: "turn"; readonly messages: readonly ToEngine[] }
  | { readonly kind: "stop" }
  | { readonly kind: "close" };

/** What the engine's side has to tell, in the order in which it happened. */
export type Happening =
  | ToHost
  | { readonly kind: "members"; readonly membership: Membership }
  | { readonly kind: "peer"; readonly peer: ReplicaId; readonly isConnected: boolean; readonly cause: string }
  | { readonly kind: "dropped"; readonly reason: string; readonly detail: string };

export type FromEngineThread =
  | { readonly kind: "opened"; readonly found: FoundLog }
  | OpenRefused
  | { readonly kind: "listening" }
  | { readonly kind: "notListening"; readonly message: string; readonly code: string | undefined }
  | { readonly kind: "turn"; readonly happened: readonly Happening[] }
  | { readonly kind: "figures"; readonly figures: EngineFigures }
  | { readonly kind: "closed" };

/** From here on a payload travels in a buffer of its own: whoever keeps a small one of the same turn does not keep it too. */
const ownBufferBytesMin = 16 * 1024;

/** The messages with payloads that may be given away, and what is to be transferred with them. */
export function packed<Message extends ToEngine | Happening>(
  messages: readonly Message[],
): { readonly messages: Message[]; readonly buffers: ArrayBuffer[] } {
  let sharedBytes = 0;
  for (const message of messages) {
    forEachPayload(message, (payload) => {
      if (payload.length < ownBufferBytesMin) sharedBytes += payload.length;
    });
  }
  const shared = new Uint8Array(sharedBytes);
  const buffers: ArrayBuffer[] = sharedBytes === 0 ? [] : [shared.buffer];
  let at = 0;
  const copy = (payload: Uint8Array): Uint8Array => {
    if (payload.length >= ownBufferBytesMin) {
      // Not `slice`, which copies nothing of a Buffer.
      const own = new Uint8Array(payload);
      buffers.push(own.buffer);
      return own;
    }
    shared.set(payload, at);
    at += payload.length;
    return shared.subarray(at - payload.length, at);
  };
  return { messages: messages.map((message) => withPayloads(message, copy)), buffers };
}

function forEachPayload(message: ToEngine | Happening, look: (payload: Uint8Array) => void): void {
  if (message.kind === "propose" || message.kind === "committed")
    for (const { payload } of message.entries) look(payload);
  else if (message.kind === "forward" || message.kind === "forwarded") look(message.payload);
}

function withPayloads<Message extends ToEngine | Happening>(
  message: Message,
  copy: (payload: Uint8Array) => Uint8Array,
): Message {
  if (message.kind === "propose" || message.kind === "committed") {
    return { ...message, entries: message.entries.map((entry) => ({ ...entry, payload: copy(entry.payload) })) };
  }
  if (message.kind === "forward" || message.kind === "forwarded") return { ...message, payload: copy(message.payload) };
  return message;
}
