/**
 * How requests travel from the replica that has them from its clients to the leader, and lie in a batch there.
 *
 * Owns: the form of crash faults, in which every replica is believed: each request by itself, as it is. Leaves to others: the signed form
 * (`bundle-form.ts`). Called by `host.ts` and what it is made of.
 */
import type { QueuedRequest } from "../admission/batcher.js";
import type { ReplicaId } from "../model/ids.js";
import type { RequestKey } from "../model/request.js";
import { encodeBatch, peekRequest } from "../wire/request-codec.js";

/** A client's; its key is what `peekRequest` has found in it. */
export interface KeyedRequest {
  readonly key: RequestKey;
  readonly bytes: Uint8Array;
}

/** As it travels: one request, or several that are ordered together. */
interface Wrapped extends QueuedRequest {
  /** By which whoever orders names it, if that wants to know of it before. */
  readonly id: string | undefined;
}

/** What came in a form that may be ordered. */
export interface Admitted {
  readonly keys: readonly RequestKey[];
  readonly id: string | undefined;
  /** Whose key signed it; undefined where nobody signs. */
  readonly signer: string | undefined;
}

export interface RequestForm {
  /** Of clients of this replica, `from`, all that came in a turn: as they go out, in their order. */
  wrap(requests: readonly KeyedRequest[], from: ReplicaId): readonly Wrapped[];
  /** As it came from another replica, or signed by a client itself. `done` within the call or later, or never: it is not genuine. Undefined: it is malformed. */
  admit(wrapped: Uint8Array, from: ReplicaId, done: (admitted: Admitted | undefined) => void): void;
  /** Nothing more comes from there. */
  left(from: string): void;
  /** The payload of an entry. */
  batch(wrapped: readonly Uint8Array[]): Uint8Array;
  /** Entries on their way beyond which only whole batches are proposed: what an entry costs is shared by more requests. */
  readonly eagerMax: number;
  /** A client's request that waits for so long is told to all replicas, so that they watch the leader: the order does not rest on one. */
  readonly overdueMs: number | undefined;
}

export function plainForm(): RequestForm {
  return {
    wrap: (requests, from) => requests.map(({ key, bytes }) => ({ keys: [key], bytes, from, id: undefined })),
    admit: (request, _from, done) => {
      const key = peekRequest(request);
      done(key === undefined ? undefined : { keys: [key], id: undefined, signer: undefined });
    },
    left: () => {},
    batch: (requests) => encodeBatch(requests),
    eagerMax: Infinity,
    overdueMs: undefined,
  };
}
