/**
 * The requests that clients of this replica wait for: answered from this replica's own execution.
 *
 * Owns: who waits for what, in the order in which it came, with what is sent again to a new leader. Bounded: the
 * limit is the host's. Leaves to others: where requests go. Called by `replica/host.ts`.
 */
import type { QueuedRequest } from "../admission/batcher.js";
import { overload } from "../admission/pressure.js";
import type { AdmissionLimits } from "../api/config.js";
import type { RequestNumber, SessionId } from "../model/ids.js";
import type { AdmissionRefusal, NumberedKey, RequestKey } from "../model/request.js";

export interface WaitingRequest {
  readonly key: RequestKey;
  /** In bytes. */
  readonly size: number;
  /** As it travels to the leader, perhaps together with others; undefined: it has not left yet. */
  queued: QueuedRequest | undefined;
  connection: number;
}

type BySession = Map<SessionId, Map<RequestNumber, WaitingRequest>>;

export class Waiting {
  readonly #commands: BySession = new Map();
  readonly #resolves: BySession = new Map();
  /** `open` by nonce, `keepAlive` and `close` by session. */
  readonly #others = new Map<string, WaitingRequest>();
  readonly #byConnection = new Map<number, { readonly requests: Set<WaitingRequest>; bytes: number }>();
  #count = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#count;
  }

  /** Why no more can wait for this connection, if so. */
  pressure(connection: number, limits: AdmissionLimits): AdmissionRefusal | undefined {
    return (
      overload(this.#count, limits.waitingMax) ??
      overload(this.#bytes, limits.waitingBytesMax) ??
      overload(this.countOf(connection), limits.waitingPerConnectionMax) ??
      overload(this.#byConnection.get(connection)?.bytes ?? 0, limits.waitingBytesPerConnectionMax)
    );
  }

  countOf(connection: number): number {
    return this.#byConnection.get(connection)?.requests.size ?? 0;
  }

  /** A repeated request waits once, for the connection that asked last. Answers the one that was waiting already, if so. */
  add(request: WaitingRequest): WaitingRequest | undefined {
    const present = this.find(request.key);
    if (present !== undefined) {
      this.#leave(present);
      present.connection = request.connection;
      this.#join(present);
      return present;
    }
    this.#join(request);
    this.#count += 1;
    this.#bytes += request.size;
    const { key } = request;
    if (isNumbered(key)) {
      const table = key.kind === "command" ? this.#commands : this.#resolves;
      const bySession = table.get(key.session);
      if (bySession === undefined) table.set(key.session, new Map([[key.number, request]]));
      else bySession.set(key.number, request);
    } else this.#others.set(nameOf(key), request);
    return undefined;
  }

  find(key: RequestKey): WaitingRequest | undefined {
    switch (key.kind) {
      case "command":
        return this.#commands.get(key.session)?.get(key.number);
      case "resolve":
        return this.#resolves.get(key.session)?.get(key.number);
      case "open":
      case "keepAlive":
      case "close":
        return this.#others.get(nameOf(key));
    }
  }

  /** The waiting request with this key, which no longer waits. */
  take(key: RequestKey): WaitingRequest | undefined {
    const request = this.find(key);
    if (request === undefined) return undefined;
    this.#count -= 1;
    this.#bytes -= request.size;
    this.#leave(request);
    if (isNumbered(key)) {
      const table = key.kind === "command" ? this.#commands : this.#resolves;
      const bySession = table.get(key.session);
      bySession?.delete(key.number);
      if (bySession?.size === 0) table.delete(key.session);
    } else this.#others.delete(nameOf(key));
    return request;
  }

  /** Everything that waits, each session's in the order of arrival; what ends a number or a session comes after its commands. */
  *all(): Iterable<WaitingRequest> {
    for (const bySession of this.#commands.values()) yield* bySession.values();
    for (const bySession of this.#resolves.values()) yield* bySession.values();
    yield* this.#others.values();
  }

  /** Its client has gone: it asks again, here or elsewhere, if it still wants to know. */
  dropConnection(connection: number): void {
    for (const request of this.#byConnection.get(connection)?.requests ?? []) this.take(request.key);
  }

  #join(request: WaitingRequest): void {
    const present = this.#byConnection.get(request.connection) ?? { requests: new Set(), bytes: 0 };
    present.requests.add(request);
    present.bytes += request.size;
    this.#byConnection.set(request.connection, present);
  }

  #leave(request: WaitingRequest): void {
    const present = this.#byConnection.get(request.connection);
    if (present?.requests.delete(request) !== true) return;
    present.bytes -= request.size;
    if (present.requests.size === 0) this.#byConnection.delete(request.connection);
  }
}

type OtherKey = Exclude<RequestKey, NumberedKey>;

function nameOf(key: OtherKey): string {
  return key.kind === "open" ? `open ${key.nonce}` : `${key.kind} ${key.session}`;
}

function isNumbered(key: RequestKey): key is NumberedKey {
  return key.kind === "command" || key.kind === "resolve";
}
