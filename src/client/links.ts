/**
 * What the core needs of connections: nothing but addresses and messages.
 *
 * Owns: the contract between the core and whoever holds connections (`network-links.ts`), an in-process link
 * (`node/create-door.ts`) or a script (tests, simulator).
 */
import type { ClientMessage } from "../model/request.js";

/** None of these calls an input of the core from within; what happens is told by a later input. */
export interface ClientLinks {
  /** Answered later by `linkReady` or `linkClosed`. */
  open(address: string): void;
  /** Nothing is told of this address any more until it is opened again. */
  close(address: string): void;
  /** Leaves with everything else of this turn. Only called while the link is ready. */
  send(address: string, message: ClientMessage): void;
}
