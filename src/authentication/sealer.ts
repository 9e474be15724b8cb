/**
 * Signing: what a replica's core says, and what a client's connection asks.
 *
 * Owns: which key signs which bytes. Leaves to others: when, which is once that on which a statement rests is durable. Called by
 * whoever joins a core to its links, and by clients.
 */
import type { Digest, Signed, Statement } from "../consensus/bft/messages.js";
import type { ReplicaId } from "../model/ids.js";
import type { Hash } from "../ports/hash.js";
import type { Signer } from "../ports/signatures.js";
import { digestOfBody, encodeBundle, encodeBundleBody } from "../wire/signed-batch.js";
import { encodeSignedReport, type SaidReport } from "../wire/signed-report.js";
import { signedBytesOf, signedBytesOfBundle, signedBytesOfReport, type Domain } from "./domain.js";

export class Sealer {
  readonly #domain: Domain;
  readonly #self: ReplicaId;
  readonly #signer: Signer;

  constructor(domain: Domain, self: ReplicaId, signer: Signer) {
    this.#domain = domain;
    this.#self = self;
    this.#signer = signer;
  }

  seal<Kind extends Statement>(statement: Kind): Signed<Kind> {
    const signature = this.#signer.sign(signedBytesOf(this.#domain, statement));
    return { statement, by: this.#self, signature };
  }
}

/** What a replica reports of itself. */
export function sealReport(domain: Domain, signer: Signer, said: SaidReport): Uint8Array {
  return encodeSignedReport({ ...said, signature: signer.sign(signedBytesOfReport(domain, said)) });
}

/** Everything that a client's connection has to ask now, encoded, under one signature. */
export function sealBundle(cluster: string, signer: Signer, hash: Hash, requests: readonly Uint8Array[]): Uint8Array {
  return sealNamed(cluster, signer, hash, requests).bytes;
}

export interface SealedBundle {
  readonly bytes: Uint8Array;
  /** Of its name. */
  readonly id: Digest;
}

export function sealNamed(cluster: string, signer: Signer, hash: Hash, requests: readonly Uint8Array[]): SealedBundle {
  const body = encodeBundleBody(signer.publicKey, requests);
  const id = digestOfBody(body, hash);
  return { bytes: encodeBundle(signer.sign(signedBytesOfBundle(cluster, id)), body), id };
}
