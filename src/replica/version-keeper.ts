/**
 * Gets versions of the machine into the order: what this replica can run, and, while it leads, that the next one starts.
 *
 * Owns: when that is proposed. Leaves to others: whether it then starts (`execution/versions.ts`). Called by `replica/host.ts`.
 */
import type { Executor } from "../execution/executor.js";
import type { ReplicaId } from "../model/ids.js";
import type { VersionChange } from "../model/version.js";
import type { Clock } from "../ports/clock.js";
import { encodeOffer, encodeVersionChange } from "../wire/version-codec.js";
import type { ToEngine } from "./channel.js";

export interface VersionKeeperParts {
  readonly self: ReplicaId;
  readonly incarnation: number;
  readonly executor: Executor;
  readonly clock: Clock;
  /** Gets a report into the order: proposes it, or sends it to the leader. */
  readonly order: (report: Uint8Array) => void;
  readonly toEngine: (message: ToEngine) => void;
}

/** What is not executed by then was lost on its way. */
const againMs = 1_000;

export class VersionKeeper {
  readonly #parts: VersionKeeperParts;
  #offeredAt = -Infinity;
  #proposedAt = -Infinity;

  constructor(parts: VersionKeeperParts) {
    this.#parts = parts;
  }

  /** `isLeading`: and has executed what earlier leaders may have promised. */
  tick(isLeading: boolean): void {
    const { self, incarnation, executor, clock, order } = this.#parts;
    const { versions } = executor;
    const now = clock.monotonic();
    if (isLeading && now - this.#proposedAt >= againMs) this.#propose(now);
    if (!versions.wantsOffer(self, incarnation) || now - this.#offeredAt < againMs) return;
    this.#offeredAt = now;
    order(encodeOffer({ replica: self, incarnation, versions: versions.runnable }));
  }

  #propose(now: number): void {
    const { versions, configuration } = this.#parts.executor;
    const { toBegin } = versions;
    const change: VersionChange | undefined =
      toBegin === undefined ? versions.nextFor(configuration) : { kind: "begin", version: toBegin };
    if (change === undefined) return;
    this.#proposedAt = now;
    this.#parts.toEngine({ kind: "propose", entries: [{ kind: "version", payload: encodeVersionChange(change) }] });
  }
}
