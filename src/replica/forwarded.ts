/**
 * What other replicas' hosts say to this one.
 *
 * Owns: where each message goes, and whom it is taken from. Leaves to others: what becomes of it. Called by `host.ts`.
 */
import type { QueuedRequest } from "../admission/batcher.js";
import { unreachable } from "../base/invariant.js";
import type { ReplicaId } from "../model/ids.js";
import { decodeHostMessage } from "../wire/host-codec.js";
import type { Divergence } from "./divergence.js";
import type { OrderedReports } from "./ordered-reports.js";
import type { RequestForm } from "./request-form.js";
import type { Requests } from "./requests.js";

export interface ForwardedParts {
  readonly self: ReplicaId;
  readonly form: RequestForm;
  /** Otherwise nothing is taken from them but requests that their clients signed, and accusations, of which it takes more than half. */
  readonly believesPeers: boolean;
  readonly leader: () => ReplicaId | undefined;
  readonly requests: Pick<Requests, "refuse">;
  readonly divergence: Pick<Divergence, "accused">;
  readonly reports: Pick<OrderedReports, "forwarded">;
  /** Of another replica's clients, in a form that may be ordered. */
  readonly request: (request: QueuedRequest) => void;
  /** Asks for another turn, soon. */
  readonly again: () => void;
  readonly dropped: (reason: string, detail: string) => void;
}

export function receiveForwarded(parts: ForwardedParts, from: ReplicaId, payload: Uint8Array): void {
  const message = decodeHostMessage(payload);
  if (message === undefined) return parts.dropped("malformed host message", `from ${from}`);
  const isHearsay = message.kind === "refused" || message.kind === "report";
  if (!parts.believesPeers && isHearsay) return parts.dropped("hearsay", `${message.kind} from ${from}`);
  switch (message.kind) {
    case "refused": {
      // Only the leader of now may say no: to an earlier one the request may have gone as well, and be ordered by the next.
      if (from !== parts.leader()) return parts.dropped("refusal by no leader", `from ${from}`);
      const { key, refusal } = message.message;
      return parts.requests.refuse(parts.self, [key], refusal);
    }
    case "accusation":
      return parts.divergence.accused(from, message.accusation);
    case "report":
      return parts.reports.forwarded(message.report);
    case "requests":
      for (const bytes of message.requests) admit(parts, from, bytes);
      return;
    default:
      return unreachable(message);
  }
}

function admit({ form, request, again, dropped }: ForwardedParts, from: ReplicaId, bytes: Uint8Array): void {
  let isInTurn = true;
  form.admit(bytes, from, (admitted) => {
    if (admitted === undefined) return dropped("malformed request", `from ${from}`);
    request({ keys: admitted.keys, bytes, from });
    if (!isInTurn) again();
  });
  isInTurn = false;
}
