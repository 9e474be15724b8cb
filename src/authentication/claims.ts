/**
 * Which signatures a message stands on.
 *
 * Owns: the list, each with who is said to have signed. Leaves to others: whether they are good (`message-verifier.ts`).
 */
import { invariant } from "../base/invariant.js";
import { batchIn, signedIn, type BftMessage, type Signed, type Statement } from "../consensus/bft/messages.js";
import type { ReplicaId } from "../model/ids.js";
import type { Claim } from "../ports/signatures.js";
import { bundleSignatures } from "../wire/signed-batch.js";
import { decodeReports, type SignedReport } from "../wire/signed-report.js";
import { signatureOfReconfiguration } from "../wire/successor-codec.js";
import { signedBytesOf, signedBytesOfBundle, signedBytesOfChange, signedBytesOfReport, type Domain } from "./domain.js";

/** All clients are one signer here: there may be any number of them. */
export const clients = "clients/";

export interface SignerClaim extends Claim {
  /** A member, or `clients`, which no member is called. */
  readonly signer: string;
}

export type PublicKeys = ReadonlyMap<ReplicaId, Uint8Array>;

/** Who may sign what: members, and the administrator, who alone asks for other members. Without one nobody does. */
export interface Signers {
  readonly keys: PublicKeys;
  readonly administrator?: Uint8Array | undefined;
}

/** `undefined` if somebody has signed who may not (hazard B6). */
export function claimsOf(
  domain: Domain,
  { keys, administrator }: Signers,
  message: BftMessage,
): readonly SignerClaim[] | undefined {
  const claims: SignerClaim[] = [];
  // The votes of a certificate are of one statement.
  let last: { readonly statement: Statement; readonly bytes: Uint8Array } | undefined;
  for (const { by, signature, statement } of signedIn(message)) {
    const publicKey = keys.get(by);
    if (publicKey === undefined) return undefined;
    if (last?.statement !== statement) last = { statement, bytes: signedBytesOf(domain, statement) };
    claims.push({ signer: by, publicKey, signature, bytes: last.bytes });
  }
  const batch = batchIn(message);
  if (batch?.proposal.kind === "configuration") {
    const change = claimOfChange(domain, administrator, batch.proposal.payload);
    return change && [...claims, change];
  }
  if (batch?.proposal.kind === "report") {
    for (const report of decodeReports(batch.proposal.payload) ?? []) {
      const claim = claimOfReport(domain, keys, report);
      if (claim === undefined) return undefined;
      claims.push(claim);
    }
  }
  if (batch?.proposal.kind !== "batch") return claims;
  for (const [at, { key, signature }] of bundleSignatures(batch.proposal.payload).entries()) {
    const id = batch.requests[at]?.id;
    invariant(id !== undefined, "a batch names each of its bundles");
    claims.push({ signer: clients, publicKey: key, signature, bytes: signedBytesOfBundle(domain.cluster, id) });
  }
  return claims;
}

/** Of bytes that were decoded before. */
export function claimOfChange(
  { cluster }: Domain,
  administrator: Uint8Array | undefined,
  payload: Uint8Array,
): SignerClaim | undefined {
  const { signature, body } = signatureOfReconfiguration(payload);
  return (
    administrator && { signer: clients, publicKey: administrator, signature, bytes: signedBytesOfChange(cluster, body) }
  );
}

export function claimOf(
  domain: Domain,
  keys: PublicKeys,
  { by, signature, statement }: Signed,
): SignerClaim | undefined {
  const publicKey = keys.get(by);
  return publicKey && { signer: by, publicKey, signature, bytes: signedBytesOf(domain, statement) };
}

/** Signed by the replica that the report names. */
export function claimOfReport(domain: Domain, keys: PublicKeys, report: SignedReport): SignerClaim | undefined {
  const { by, signature } = report;
  const publicKey = keys.get(by);
  return publicKey && { signer: by, publicKey, signature, bytes: signedBytesOfReport(domain, report) };
}
