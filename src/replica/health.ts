/**
 * What keeps the ordering side from its work: noticed before each step, told to the core and to the host.
 *
 * Owns: comparing what the core knows with what is; the count of resignations. Leaves to others: what follows from it
 * (`consensus/raft/space.ts`, `stall.ts`, `transfer.ts`). Called by `raft-driver.ts`.
 */
import type { RaftMessage } from "../consensus/raft/messages.js";
import { stallOf } from "../consensus/raft/stall.js";
import type { RaftState } from "../consensus/raft/state.js";
import type { Effect, Input } from "../consensus/vocabulary.js";
import type { LogStore } from "../storage/log-store.js";
import type { Backlog } from "./backlog.js";
import { healthy, type EngineHealth, type ToHost } from "./channel.js";

export interface HealthParts {
  readonly state: RaftState;
  readonly log: LogStore;
  readonly executionStallMsMax: number;
  readonly toHost: (message: ToHost) => void;
}

type Resigned = Extract<Effect<RaftMessage>, { readonly kind: "resigned" }>;

export class Health {
  readonly #parts: HealthParts;
  readonly #backlog: Backlog;
  #told: EngineHealth = healthy;
  #isQuarantined = false;

  constructor(parts: HealthParts, backlog: Backlog) {
    this.#parts = parts;
    this.#backlog = backlog;
  }

  /** What the core is to be told before anything else: it decides on nothing without knowing whether there is space for it (hazard D12). */
  look(now: number): readonly Input<RaftMessage>[] {
    const { state, log, executionStallMsMax } = this.#parts;
    const { space } = log;
    // Whoever led while execution stands still everywhere is given as long for it as one that led before.
    const ledMs = state.role.kind === "leader" ? now - state.role.since : Infinity;
    const isStalled = Math.min(this.#backlog.waitsMs(now), ledMs) > executionStallMsMax;
    const isQuarantined = this.#isQuarantined;
    const stalled = isQuarantined ? "quarantine" : stallOf(state, now, isStalled);
    const isSame = state.isExecutionStalled === isStalled && state.isQuarantined === isQuarantined;
    const isKnown = state.space === space && isSame;
    if (isKnown && stalled === this.#told.stalled) return nothing;
    this.#tell({ ...this.#told, full: space === "ample" ? undefined : log.full, stalled });
    return [
      { kind: "space", space },
      { kind: "execution", isStalled, isQuarantined },
    ];
  }

  setQuarantined(isQuarantined: boolean): void {
    this.#isQuarantined = isQuarantined;
  }

  resigned({ reason, term }: Resigned): void {
    const { resignations } = this.#told;
    const counted = { ...resignations, [reason]: (resignations[reason] ?? 0) + 1 };
    this.#tell({ ...this.#told, resigned: { reason, term }, resignations: counted });
  }

  #tell(health: EngineHealth): void {
    this.#told = health;
    this.#parts.toHost({ kind: "health", health });
  }
}

const nothing: readonly Input<RaftMessage>[] = [];
