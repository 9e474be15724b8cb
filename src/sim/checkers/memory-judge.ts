/**
 * Follows a flipped bit from when it flips to when its replica is well again.
 *
 * Owns: rule V27, and who is excused meanwhile: the replica whose memory is wrong, and clients that it may have answered. One at a time.
 * Leaves to others: flipping (`memory-faults.ts`). Asked by the other judges, and looked at every few milliseconds by `world.ts`.
 */
import { equalBytes } from "../../base/bytes.js";
import type { Executor } from "../../execution/executor.js";
import type { AuditedPosition } from "../../model/audit.js";
import type { ReplicaId } from "../../model/ids.js";
import type { SimOpened } from "../opened.js";
import type { MemoryTarget } from "../memory-faults.js";
import { must } from "./violation.js";

/** What came of one flipped bit. */
export interface Flip {
  readonly replica: ReplicaId;
  readonly target: MemoryTarget;
  readonly at: number;
  /** Named by all others. */
  namedAt: number | undefined;
  /** It is not what the others certify: it was named, or its checkpoint is another than that of f + 1. */
  setAsideAt: number | undefined;
  /** Its whole state is that of the order again, and nobody names it. */
  wellAt: number | undefined;
  /** The replica stopped itself before anybody named it: its memory is gone with the process. */
  hasStopped: boolean;
}

interface Looked {
  readonly id: ReplicaId;
  readonly opened: SimOpened | undefined;
}

/** An answer may be on its way for so long. */
const doubtMs = 5_000;

export class MemoryJudge {
  readonly #replicas: readonly Looked[];
  readonly #now: () => number;
  readonly #boundMs: number;
  /** The order, executed by itself. */
  readonly #reference: Executor;
  readonly flips: Flip[] = [];
  /** Those who have named the last one's replica. */
  #namedBy = new Set<ReplicaId>();

  constructor(
    replicas: readonly Looked[],
    { now, boundMs, reference }: { readonly now: () => number; readonly boundMs: number; readonly reference: Executor },
  ) {
    this.#replicas = replicas;
    this.#now = now;
    this.#boundMs = boundMs;
    this.#reference = reference;
  }

  /** The last one is not over. */
  get isBusy(): boolean {
    const last = this.flips.at(-1);
    return last !== undefined && last.wellAt === undefined;
  }

  flipped(replica: ReplicaId, target: MemoryTarget): void {
    const at = this.#now();
    this.#namedBy = new Set();
    this.flips.push({
      replica,
      target,
      at,
      namedAt: undefined,
      setAsideAt: undefined,
      wellAt: undefined,
      hasStopped: false,
    });
  }

  isExcused(replica: ReplicaId): boolean {
    return this.isBusy && this.flips.at(-1)?.replica === replica;
  }

  /** What a client is told now may come from a replica whose memory is wrong. */
  get isDoubtful(): boolean {
    const last = this.flips.at(-1);
    return last !== undefined && (last.wellAt === undefined || this.#now() < last.wellAt + doubtMs);
  }

  /** It broke a rule of its own. */
  stopped(replica: ReplicaId): void {
    const last = this.flips.at(-1);
    if (last?.replica === replica) last.hasStopped = true;
  }

  /** A replica tells its program what was found. */
  found(by: ReplicaId, { index, kind, differing }: AuditedPosition): void {
    const flip = this.flips.at(-1);
    if (kind !== "named" || this.isExcused(by)) return;
    const innocent = differing.find((id) => this.#isInnocent(id));
    must(innocent === undefined, "V27", () => `at ${index} ${by} names ${innocent}, whose memory is intact`);
    if (flip === undefined || !this.isBusy || !differing.includes(flip.replica)) return;
    this.#namedBy.add(by);
    const isByAll = this.#replicas.every(({ id }) => id === flip.replica || this.#namedBy.has(id));
    if (isByAll) flip.namedAt ??= this.#now();
  }

  /** A replica executes nothing for clients any more, until it is rebuilt. */
  setAside(id: ReplicaId): void {
    const flip = this.flips.at(-1);
    must(this.isExcused(id), "V27", () => `${id} is set aside, and its memory is intact`);
    if (flip !== undefined) flip.setAsideAt ??= this.#now();
  }

  /** What was reported before a replica was rebuilt may be settled afterwards, and name it once more. */
  #isInnocent(id: ReplicaId): boolean {
    return this.flips.every(({ replica }) => replica !== id);
  }

  look(): void {
    const flip = this.flips.at(-1);
    const names = this.#replicas.map(({ id, opened }) => {
      return { by: id, named: opened?.executor.audits.table.state.named.map(({ replica }) => replica) ?? [] };
    });
    for (const { by, named } of names) {
      if (by === flip?.replica && flip.wellAt === undefined) continue;
      const innocent = named.find((id) => this.#isInnocent(id));
      must(innocent === undefined, "V27", () => `${by} names ${innocent}, whose memory is intact`);
    }
    if (flip === undefined || flip.wellAt !== undefined) return;
    const others = names.filter(({ by }) => by !== flip.replica);
    const isLate = this.#now() > flip.at + this.#boundMs;
    const isFound = flip.namedAt !== undefined || flip.setAsideAt !== undefined || flip.hasStopped;
    const isWell = isFound || isLate ? this.#isWell(flip.replica) : undefined;
    // It may be gone with what it was in: whoever has the right state needs no help.
    if (isWell === true && others.every(({ named }) => !named.includes(flip.replica))) {
      flip.wellAt = this.#now();
      return;
    }
    must(
      isFound || !isLate || isWell !== false,
      "V27",
      () => `a bit that flipped in the ${flip.target} of ${flip.replica} was not found within ${this.#boundMs} ms`,
    );
    must(
      this.#now() <= flip.at + 2 * this.#boundMs + 60_000,
      "V27",
      () => `${flip.replica} is not well again after a bit flipped in its ${flip.target}`,
    );
  }

  /** Its whole state is that of the order; undefined: it has not executed all of that, and cannot be compared now. */
  #isWell(id: ReplicaId): boolean | undefined {
    const { opened } = this.#replicas.find((replica) => replica.id === id) ?? {};
    const { executor } = opened ?? {};
    if (executor === undefined || executor.executedIndex !== this.#reference.executedIndex) return undefined;
    return (
      opened?.core.status().quarantine.state === "sound" && equalBytes(executor.digest(), this.#reference.digest())
    );
  }
}
