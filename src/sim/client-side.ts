/**
 * The connections of clients to a replica that lies: what it answers is changed on its way out.
 *
 * Owns: taking frames apart and putting them together again. Leaves to others: what is said instead (`liars/answering.ts`), who lies
 * (`byzantine.ts`).
 */
import type { ReplicaMessage } from "../model/request.js";
import type { Connection, ConnectionHandlers } from "../ports/network.js";
import { decodeReplicaMessage, encodeReplicaMessage, replicaMessageTypes } from "../wire/client-codec.js";
import { FrameReader, FrameWriter, type Message } from "../wire/frame.js";
import { simHash } from "./sim-hash.js";

export type Connect = (handlers: ConnectionHandlers) => Connection;

const frameBytesMax = 16_777_216;

/** The same connection, over which `answer` goes in the place of each message. */
export function answeringFalsely(
  connect: Connect,
  answer: (message: ReplicaMessage) => readonly ReplicaMessage[],
): Connect {
  return (handlers) => {
    const near = connect(handlers);
    return {
      send: (bytes) => {
        const frame = changed(bytes, answer);
        if (frame !== undefined) near.send(frame);
      },
      get bufferedBytes() {
        return near.bufferedBytes;
      },
      pauseReading: () => near.pauseReading(),
      resumeReading: () => near.resumeReading(),
      close: (reason) => near.close(reason),
    };
  };
}

/** Undefined if nothing is left to say. What is no answer (a handshake) stays as it is, and so does what has no form. */
function changed(
  bytes: Uint8Array,
  answer: (message: ReplicaMessage) => readonly ReplicaMessage[],
): Uint8Array | undefined {
  const messages: Message[] = [];
  const failure = new FrameReader(simHash, { frameBytesMax }).push(bytes, (message) => messages.push(message));
  if (failure !== undefined) return bytes;
  const writer = new FrameWriter(simHash);
  for (const { type, payload } of messages) {
    const right = decodeReplicaMessage(type, payload);
    if (right === undefined) writer.add(type, payload);
    else
      for (const said of oneByOne(right).flatMap(answer))
        writer.add(replicaMessageTypes[said.kind], encodeReplicaMessage(said));
  }
  return writer.isEmpty ? undefined : writer.finish();
}

/** Whoever lies may lie about one and not about another. */
function oneByOne(message: ReplicaMessage): readonly ReplicaMessage[] {
  if (message.kind !== "votes" || message.said.length === 0) return [message];
  const { replica, voters, session, index, said } = message;
  return said.map(({ number, digest }) => {
    const key = { kind: "command", session, number } as const;
    return { kind: "vote", replica, voters, key, index, digest };
  });
}
