/**
 * What an operator does about a replica that is lost for good: gives its id to an empty disk, and starts it there.
 *
 * Owns: when, and how long it is tried; and that a host whose replica votes again counts no longer among those that are spoiled. Leaves to
 * others: losing replicas (`nemesis.ts`), the budget (`atlas.ts`). Owned by `world.ts`; `scenario.ts` does it by hand.
 */
import { isChanging, newestConfiguration } from "../consensus/raft/configuration.js";
import { memberOf } from "../model/membership.js";
import type { Draw } from "./draw.js";
import type { Markers } from "./markers.js";
import type { Scheduler } from "./scheduler.js";
import type { SimReplica } from "./sim-replica.js";
import type { Trace } from "./trace.js";

export interface OperatorParts {
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly markers: Markers;
  readonly draw: Draw;
  /** Hosts whose disk somebody has damaged. */
  readonly spoiled: Set<string>;
  /** In stories only their teller does something. */
  readonly isStory: boolean;
  readonly leader: () => SimReplica | undefined;
  /** What breaks in it ends the run. */
  readonly attempt: (run: () => void) => void;
}

const lookMs = 500;
/** A leader that has not answered by then has probably gone. */
const answerMs = 5_000;

export class Operator {
  readonly #parts: OperatorParts;
  /** In some runs nobody does. */
  readonly #cares: boolean;

  constructor(parts: OperatorParts) {
    this.#parts = parts;
    this.#cares = !parts.isStory && parts.draw.chance(0.7);
  }

  onLost(replica: SimReplica): void {
    if (this.#cares) this.#later(this.#parts.draw.spread(10, 3_000), () => this.replace(replica));
  }

  /** Until it is done, however often leaders change meanwhile. */
  replace(replica: SimReplica): void {
    const { leader, trace } = this.#parts;
    const { id } = replica;
    if (replica.lostBecause === undefined) return;
    let isAnswered = false;
    const change = { kind: "replace", id, peer: `${id}:1`, client: `${id}:2` } as const;
    const again = (): void => {
      if (isAnswered) return;
      isAnswered = true;
      this.#later(lookMs, () => this.replace(replica));
    };
    const isAsked = leader()?.instruct({ kind: "change", change }, (outcome) => {
      trace.add("operator", `asked to replace ${id}: ${outcome}`);
      if (outcome !== "done") return again();
      if (isAnswered) return;
      isAnswered = true;
      this.#later(0, () => {
        replica.join();
        this.#watch(replica);
      });
    });
    if (isAsked === true) this.#later(answerMs, again);
    else again();
  }

  /** Once the members with the new disk among their voters are decided, as much may be lost as before. */
  #watch(replica: SimReplica): void {
    const { leader, trace, markers, spoiled } = this.#parts;
    if (replica.lostBecause !== undefined) return;
    const raft = leader()?.raft;
    const incarnation = replica.opened?.directory.identity.incarnation;
    const member = raft === undefined ? undefined : memberOf(newestConfiguration(raft).membership, replica.id);
    const isDecided = raft !== undefined && !isChanging(raft) && member?.role === "voter";
    if (!isDecided || member.incarnation !== incarnation || replica.isStale) {
      return this.#later(lookMs, () => this.#watch(replica));
    }
    trace.add("operator", `${replica.id} votes with its new disk`);
    markers.reach("a replica that was lost votes again");
    spoiled.delete(replica.id);
  }

  #later(delayMs: number, run: () => void): void {
    this.#parts.scheduler.after(delayMs, () => this.#parts.attempt(run));
  }
}
