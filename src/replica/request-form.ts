/**
 * How a request travels from the replica that has it from its client to the leader, and lies in a batch there.
 *
 * Owns: the form of crash faults, in which every replica is believed: the request as it is. Leaves to others: the signed form
 * (`bundle-form.ts`). Called by `host.ts` and what it is made of.
 */
import type { ReplicaId } from "../model/ids.js";
import type { RequestKey } from "../model/request.js";
import { encodeBatch, peekRequest } from "../wire/request-codec.js";

export interface RequestForm {
  /** Of a client of this replica, as it goes out; `request` was looked at by `peekRequest`. */
  wrap(request: Uint8Array): Uint8Array;
  /** As it came from another replica, or signed by a client itself. `done` within the call or later, or never: it is not genuine. Undefined: it is malformed. */
  admit(wrapped: Uint8Array, from: ReplicaId, done: (key: RequestKey | undefined, signer?: string) => void): void;
  /** Nothing more comes from there. */
  left(from: string): void;
  /** The payload of an entry. */
  batch(wrapped: readonly Uint8Array[]): Uint8Array;
  /** A client's request that waits for so long is told to all replicas, so that they watch the leader: the order does not rest on one. */
  readonly overdueMs: number | undefined;
}

export function plainForm(): RequestForm {
  return {
    wrap: (request) => request,
    admit: (request, _from, done) => done(peekRequest(request)),
    left: () => {},
    batch: (requests) => encodeBatch(requests),
    overdueMs: undefined,
  };
}
