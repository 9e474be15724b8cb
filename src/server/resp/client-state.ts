/**
 * What the door remembers of one Redis client beside its traffic.
 *
 * Owns: the fields that HELLO, CLIENT and RESET change, and their text in CLIENT LIST. Owned by one connection.
 */
import type { ReadLevel } from "../../model/request.js";
import type { Protocol } from "./reply-text.js";

export interface ClientState {
  readonly id: number;
  /** `host:port` of the client. */
  readonly address: string;
  readonly localAddress: string;
  /** Monotonic milliseconds. */
  readonly connectedAt: number;
  protocol: Protocol;
  name: string;
  library: string;
  libraryVersion: string;
  /** CLIENT REPLY; "skipNext" becomes "on" with the next command. */
  replies: "on" | "off" | "skipNext";
  /** CLIENT READ: how fresh the answers to runs of reads are. */
  read: ReadLevel;
}

export const linearizable: ReadLevel = { kind: "linearizable" };

export function describeClient(client: ClientState, nowMs: number): string {
  const age = Math.floor((nowMs - client.connectedAt) / 1000);
  const { id, address, localAddress, name, protocol, library, libraryVersion } = client;
  return `id=${id} addr=${address} laddr=${localAddress} name=${name} age=${age} db=0 resp=${protocol} lib-name=${library} lib-ver=${libraryVersion}`;
}
