/**
 * Gets reports into the order: this replica's own, and those that others hand to the leader.
 *
 * Owns: the way there. Where replicas are not believed the engine signs this one's own, and brings it there. Leaves to others: what is reported (`checkpointer.ts`, `auditor.ts`, `version-keeper.ts`), and making again what is lost on its way.
 */
import type { Executor } from "../execution/executor.js";
import type { ReplicaId } from "../model/ids.js";
import { encodeHostMessage } from "../wire/host-codec.js";
import { decodeAnyReport } from "../wire/report-codec.js";
import type { ToEngine } from "./channel.js";

export interface OrderedReportsParts {
  readonly self: ReplicaId;
  readonly executor: Pick<Executor, "executedIndex" | "reportRules">;
  readonly leader: () => ReplicaId | undefined;
  readonly isLeading: () => boolean;
  readonly toEngine: (message: ToEngine) => void;
  /** Asks for another turn, soon. */
  readonly again: () => void;
}

export class OrderedReports {
  readonly #parts: OrderedReportsParts;

  constructor(parts: OrderedReportsParts) {
    this.#parts = parts;
  }

  /** This replica's own. */
  order(report: Uint8Array): void {
    const { self, executor, leader, isLeading, toEngine, again } = this.#parts;
    const to = leader();
    if (!executor.reportRules.believesPeers) toEngine({ kind: "report", report, executed: executor.executedIndex });
    else if (isLeading()) toEngine({ kind: "propose", entries: [{ kind: "report", payload: report }] });
    else if (to !== undefined && to !== self) {
      toEngine({ kind: "forward", as: "host", to, payload: encodeHostMessage({ kind: "report", report }) });
    }
    again();
  }

  /** Another's, of whom the bytes are. What no replica could execute is not ordered. */
  forwarded(report: Uint8Array): void {
    if (this.#parts.isLeading() && decodeAnyReport(report) !== undefined) this.order(report.slice());
  }
}
