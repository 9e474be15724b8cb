/**
 * The network of a replica that lies: what its correct process sends is changed on its way out, under its own signature.
 *
 * Owns: taking frames apart and putting them together again. Leaves to others: what is sent instead (`bft-liars.ts`). A lie that has no form
 * on the wire is not sent. Only connections that the liar opens are changed: it is to be the first of all by id.
 */
import type { BftMessage } from "../src/consensus/bft/messages.js";
import type { Connection, Network } from "../src/ports/network.js";
import { peerMessageTypes } from "../src/replica/engine.js";
import { decodeBftMessage, encodeInEpoch, splitEpoch, type BftLimits } from "../src/wire/bft-codec.js";
import { FrameReader, FrameWriter, type Message } from "../src/wire/frame.js";
import type { Liar, LiarTools } from "../src/sim/liars/liar.js";
import { testHash } from "./log-world.js";

const frameBytesMax = 16_777_216;

export interface Tampering {
  readonly liar?: Liar | undefined;
  /** Does not hear messages of this type from there. */
  readonly isDeafTo?: ((from: string, type: number) => boolean) | undefined;
  readonly limits: BftLimits;
  readonly tools: () => Omit<LiarTools, "received" | "later">;
  readonly after: (ms: number, act: () => void) => void;
}

export function tamperingNetwork(network: Network, { liar, isDeafTo, limits, tools, after }: Tampering): Network {
  const received: BftMessage[] = [];
  return {
    connect: (address, handlers) => {
      const to = address.split(":")[0] ?? "";
      const reader = new FrameReader(testHash, { frameBytesMax });
      const near = network.connect(address, {
        ...handlers,
        opened: () => handlers.opened(),
        drained: () => handlers.drained(),
        closed: (cause) => handlers.closed(cause),
        received: (bytes) => {
          const heard = new FrameWriter(testHash);
          const failure = reader.push(bytes, ({ type, payload }) => {
            const heardMessage = type === peerMessageTypes.bft ? decode(payload, limits) : undefined;
            if (heardMessage !== undefined && received.push(heardMessage.message) > 200) received.shift();
            if (isDeafTo?.(to, type) !== true) heard.add(type, payload);
          });
          if (failure !== undefined) throw new Error(failure);
          if (!heard.isEmpty) handlers.received(heard.finish());
        },
      });
      const sendNow = (messages: readonly BftMessage[]): void => {
        const writer = new FrameWriter(testHash);
        for (const message of messages) add(writer, { epoch: tools().state.epoch, message });
        if (!writer.isEmpty) near.send(writer.finish());
      };
      const later: LiarTools["later"] = (ms, messages) => after(ms, () => sendNow(messages()));
      const outgoing = (message: BftMessage): readonly BftMessage[] =>
        liar?.outgoing(to, message, { ...tools(), received, later }) ?? [message];
      return changed(near, limits, outgoing);
    },
  };
}

function changed(
  near: Connection,
  limits: BftLimits,
  outgoing: (message: BftMessage) => readonly BftMessage[],
): Connection {
  return {
    send: (bytes) => {
      const messages: Message[] = [];
      const failure = new FrameReader(testHash, { frameBytesMax }).push(bytes, (message) => messages.push(message));
      if (failure !== undefined || !messages.some(({ type }) => type === peerMessageTypes.bft)) return near.send(bytes);
      const writer = new FrameWriter(testHash);
      for (const { type, payload } of messages) {
        const said = type === peerMessageTypes.bft ? decode(payload, limits) : undefined;
        if (said === undefined) writer.add(type, payload);
        else for (const message of outgoing(said.message)) add(writer, { epoch: said.epoch, message });
      }
      if (!writer.isEmpty) near.send(writer.finish());
    },
    get bufferedBytes() {
      return near.bufferedBytes;
    },
    pauseReading: () => near.pauseReading(),
    resumeReading: () => near.resumeReading(),
    close: (reason) => near.close(reason),
  };
}

interface InEpoch {
  readonly epoch: number;
  readonly message: BftMessage;
}

function decode(payload: Uint8Array, limits: BftLimits): InEpoch | undefined {
  const split = splitEpoch(payload.slice());
  const message = split && decodeBftMessage(split.encoded, { ...limits, replicaCount: undefined }, testHash);
  return message && { epoch: split.epoch, message };
}

function add(writer: FrameWriter, { epoch, message }: InEpoch): void {
  let bytes: Uint8Array;
  try {
    bytes = encodeInEpoch(epoch, message);
  } catch {
    return;
  }
  writer.add(peerMessageTypes.bft, bytes);
}
