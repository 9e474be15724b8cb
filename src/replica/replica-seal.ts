/**
 * Signing and verifying for one replica, as its driver and its host ask for it.
 *
 * Owns: nothing but the joining. Leaves to others: what is signed and how (`authentication/`). Made by whoever opens a replica.
 */
import type { SignatureCounters } from "../api/replica.js";
import { MessageVerifier, type VerifierParts } from "../authentication/message-verifier.js";
import { Sealer, sealNamed, sealReport, type SealedBundle } from "../authentication/sealer.js";
import type { BftMessage, Signed, Statement } from "../consensus/bft/messages.js";
import type { ReplicaId } from "../model/ids.js";
import type { Signer } from "../ports/signatures.js";
import { keyNameOf } from "../wire/key-name.js";
import type { Bundle } from "../wire/signed-batch.js";
import type { SaidReport, SignedReport } from "../wire/signed-report.js";

export interface ReplicaSealParts extends VerifierParts {
  readonly self: ReplicaId;
  readonly signer: Signer;
}

export class ReplicaSeal {
  readonly #parts: ReplicaSealParts;
  readonly #sealer: Sealer;
  readonly #verifier: MessageVerifier;
  #made = 0;

  constructor(parts: ReplicaSealParts) {
    this.#parts = parts;
    this.#sealer = new Sealer(parts.domain, parts.self, parts.signer);
    this.#verifier = new MessageVerifier(parts);
  }

  /** As this replica is named where it is a client: it signs for those who have no key. */
  get clientName(): string {
    return keyNameOf(this.#parts.signer.publicKey);
  }

  get counters(): SignatureCounters {
    const { signatures, known, ...refused } = this.#verifier.counters;
    return { made: this.#made, verified: signatures, known, refused };
  }

  /** What it says comes back within what others prove, so it is known to be good. */
  seal(statement: Statement): Signed {
    this.#made += 1;
    const signed = this.#sealer.seal(statement);
    this.#verifier.trust(signed);
    return signed;
  }

  sealReport(said: SaidReport): Uint8Array {
    const { domain, signer } = this.#parts;
    return sealReport(domain, signer, said);
  }

  sealBundle(requests: readonly Uint8Array[]): SealedBundle {
    this.#made += 1;
    const { domain, signer, hash } = this.#parts;
    return sealNamed(domain.cluster, signer, hash, requests);
  }

  /** See `MessageVerifier`. */
  isOpenTo(from: ReplicaId): boolean {
    return this.#verifier.isOpenTo(from);
  }

  malformed(from: ReplicaId): void {
    this.#verifier.malformed(from);
  }

  check(message: BftMessage, from: ReplicaId, done: () => void): void {
    this.#verifier.check(message, from, done);
  }

  checkBundle(bundle: Bundle, from: string, done: () => void): void {
    this.#verifier.checkBundle(bundle, from, done);
  }

  checkReport(report: SignedReport, from: ReplicaId, done: () => void): void {
    this.#verifier.checkReport(report, from, done);
  }

  forget(from: string): void {
    this.#verifier.forget(from);
  }
}
