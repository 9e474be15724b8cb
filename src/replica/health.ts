/**
 * What keeps the ordering side from its work: noticed before each step, told to the core and to the host.
 *
 * Owns: comparing what the core knows with what is. Leaves to others: what follows from it (`consensus/raft/space.ts`). Called by `engine.ts`.
 */
import type { RaftMessage } from "../consensus/raft/messages.js";
import type { RaftState } from "../consensus/raft/state.js";
import type { Input } from "../consensus/vocabulary.js";
import type { LogStore } from "../storage/log-store.js";
import type { EngineHealth, ToHost } from "./channel.js";

export interface HealthParts {
  readonly state: RaftState;
  readonly log: LogStore;
  readonly toHost: (message: ToHost) => void;
}

export class Health {
  readonly #parts: HealthParts;

  constructor(parts: HealthParts) {
    this.#parts = parts;
  }

  /** What the core is to be told before anything else: it decides on nothing without knowing whether there is space for it (hazard D12). */
  look(): Input<RaftMessage> | undefined {
    const { state, log, toHost } = this.#parts;
    const { space } = log;
    if (state.space === space) return undefined;
    const health: EngineHealth = { full: space === "ample" ? undefined : log.full };
    toHost({ kind: "health", health });
    return { kind: "space", space };
  }
}
