/**
 * The client's session: opened when something is to be sent, kept alive, checked after a long silence, given up when lost.
 *
 * Owns: which session there is and what was asked about it over the present link. Leaves to others: the commands under it
 * (`window.ts`), what its loss means for them (`command-side.ts`, the only caller).
 *
 *     none ──(something to send)──▶ opening ──opened──▶ open ──expired, unknown──▶ none
 *
 * One nonce is drawn for each opening and kept through its retries, so that two replies give one session.
 */
import type { SessionId } from "../model/ids.js";

export type ClientSession =
  | { readonly kind: "none" }
  | {
      readonly kind: "opening";
      readonly nonce: string;
      /** Asked over the present link and not answered. */
      isAsked: boolean;
    }
  | {
      readonly kind: "open";
      readonly id: SessionId;
      /** When execution last answered under it. */
      provenAt: number;
      /** A keepAlive is on its way over the present link. */
      isProbed: boolean;
    };

export const noSession: ClientSession = { kind: "none" };

/** Something about the session itself waits for an answer. */
export function isAsking(session: ClientSession): boolean {
  if (session.kind === "opening") return session.isAsked;
  return session.kind === "open" && session.isProbed;
}

/** What was asked over a link that is gone is not answered any more. */
export function forgetAsked(session: ClientSession): void {
  if (session.kind === "opening") session.isAsked = false;
  if (session.kind === "open") session.isProbed = false;
}
