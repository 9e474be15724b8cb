/**
 * A replica that lies: a correct one, of which what is sent to the others is replaced.
 *
 * Owns: what a behaviour is given. Leaves to others: the behaviours (beside it), who lies, and whose keys a liar has (`byzantine.ts`).
 */
import type { Random } from "../../base/random.js";
import type { Batch, BftMessage, RequestName, Signed, Statement } from "../../consensus/bft/messages.js";
import type { BftState } from "../../consensus/bft/state.js";

export interface Liar {
  readonly name: string;
  /** What it sends in place of a message to one replica. */
  outgoing(to: string, message: BftMessage, tools: LiarTools): readonly BftMessage[];
  /** Which of the waiting requests it proposes as primary, in this order. */
  orders?(waiting: readonly RequestName[]): readonly RequestName[];
}

export interface LiarTools {
  readonly self: string;
  readonly replicas: readonly string[];
  readonly state: BftState;
  readonly random: Random;
  readonly now: number;
  /** All who lie, itself among them: they have one another's keys. */
  readonly friends: readonly string[];
  /** As itself or a friend, and as nobody else. */
  sign<Kind extends Statement>(statement: Kind, by?: string): Signed<Kind>;
  /** Of requests of `of`, in this order; and of one that nobody signed. */
  batchOf(requests: readonly RequestName[], of: Batch): Batch;
  /** Sends to the same replica what `messages` gives after this time. */
  later(ms: number, messages: () => readonly BftMessage[]): void;
  /** What it has received, the newest last. */
  readonly received: readonly BftMessage[];
}

/** Of what is not: no batch, no state. It has the form of a digest, so that it travels. */
export const madeUp = "f".repeat(64);
