/**
 * What replicas say to each other to hand a checkpoint over.
 *
 * Owns: the shapes. Leaves to others: their bytes (`wire/transfer-codec.ts`), whom to ask and what to believe (`replica/state-transfer.ts`).
 */
import type { Certificate } from "./checkpoint.js";
import type { LogIndex } from "./ids.js";

export type TransferMessage =
  /** "Which certified checkpoint have you, of this index or a later one?" */
  | { readonly kind: "manifestRequest"; readonly index: LogIndex }
  | { readonly kind: "manifestReply"; readonly certificate: Certificate; readonly manifest: Uint8Array }
  | { readonly kind: "manifestAbsent"; readonly index: LogIndex }
  | { readonly kind: "chunkRequest"; readonly hash: Uint8Array; readonly bytes: number }
  | { readonly kind: "chunkReply"; readonly hash: Uint8Array; readonly content: Uint8Array }
  | { readonly kind: "chunkAbsent"; readonly hash: Uint8Array };
