/**
 * Gets reports into the order: this replica's own, and those that others hand to the leader.
 *
 * Owns: the way there. Leaves to others: what is reported (`checkpointer.ts`, `auditor.ts`, `version-keeper.ts`), and making again what is lost on its way.
 */
import type { ReplicaId } from "../model/ids.js";
import { decodeAuditReport } from "../wire/audit-codec.js";
import { decodeReport } from "../wire/checkpoint-codec.js";
import { encodeHostMessage } from "../wire/host-codec.js";
import { decodeSkipReport } from "../wire/skip-codec.js";
import { decodeOffer } from "../wire/version-codec.js";
import type { ToEngine } from "./channel.js";

export interface OrderedReportsParts {
  readonly self: ReplicaId;
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
    const { self, leader, isLeading, toEngine, again } = this.#parts;
    const to = leader();
    if (isLeading()) toEngine({ kind: "propose", entries: [{ kind: "report", payload: report }] });
    else if (to !== undefined && to !== self) {
      toEngine({ kind: "forward", as: "host", to, payload: encodeHostMessage({ kind: "report", report }) });
    }
    again();
  }

  /** Another's, of whom the bytes are. What no replica could execute is not ordered. */
  forwarded(report: Uint8Array): void {
    const forms = [decodeReport, decodeAuditReport, decodeOffer, decodeSkipReport];
    const isKnown = forms.some((decode) => decode(report) !== undefined);
    if (this.#parts.isLeading() && isKnown) this.order(report.slice());
  }
}
