/**
 * Signing and verifying for one replica, as its driver and its host ask for it.
 *
 * Owns: nothing but the joining. Leaves to others: what is signed and how (`authentication/`). Made by whoever opens a replica.
 */
import type { SignatureCounters } from "../api/replica.js";
import { MessageVerifier, type VerifierParts } from "../authentication/message-verifier.js";
import type { PublicKeys } from "../authentication/claims.js";
import type { Domain } from "../authentication/domain.js";
import { Sealer, sealNamed, sealReport, type SealedBundle } from "../authentication/sealer.js";
import { equalBytes } from "../base/bytes.js";
import type { BftMessage, Signed, Statement } from "../consensus/bft/messages.js";
import type { ReplicaId } from "../model/ids.js";
import type { Signer } from "../ports/signatures.js";
import { keyNameOf } from "../wire/key-name.js";
import type { Bundle } from "../wire/signed-batch.js";
import type { SaidReport, SignedReport } from "../wire/signed-report.js";

export interface ReplicaSealParts extends VerifierParts {
  readonly self: ReplicaId;
  /** It signs for those who have no key, as long as the process runs, and what it says while the members know it by this key. */
  readonly signer: Signer;
  /** For when they know it by this one. */
  readonly nextSigner?: Signer | undefined;
}

export class ReplicaSeal {
  readonly #parts: ReplicaSealParts;
  #domain: Domain;
  #keys: PublicKeys;
  #signer: Signer;
  #sealer: Sealer;
  readonly #verifier: MessageVerifier;
  #made = 0;

  constructor(parts: ReplicaSealParts) {
    this.#parts = parts;
    this.#domain = parts.domain;
    this.#keys = parts.keys;
    this.#signer = parts.signer;
    this.#sealer = new Sealer(parts.domain, parts.self, parts.signer);
    this.#verifier = new MessageVerifier(parts);
  }

  get domain(): Domain {
    return this.#domain;
  }

  /** Of the members of this epoch, as far as they are known. */
  get keys(): PublicKeys {
    return this.#keys;
  }

  get administrator(): Uint8Array | undefined {
    return this.#parts.administrator;
  }

  /** It has the private key by which the members of this epoch know it. */
  get canSign(): boolean {
    const key = this.#keys.get(this.#parts.self);
    return key !== undefined && equalBytes(key, this.#signer.publicKey);
  }

  /** Under its id the members know another one, which it is to replace. */
  get takesPlace(): boolean {
    return this.#keys.has(this.#parts.self) && !this.canSign;
  }

  /** Who this replica is on links, to those who know it by the one key, and to those who know it by the next. */
  signLink(bytes: Uint8Array): readonly Uint8Array[] {
    const { signer, nextSigner } = this.#parts;
    return (nextSigner === undefined ? [signer] : [signer, nextSigner]).map((each) => each.sign(bytes));
  }

  enter(epoch: number, keys: PublicKeys): void {
    const { self, signer, nextSigner = signer } = this.#parts;
    this.#domain = { ...this.#domain, epoch };
    this.#keys = keys;
    const key = keys.get(self);
    this.#signer = key !== undefined && equalBytes(key, nextSigner.publicKey) ? nextSigner : signer;
    this.#sealer = new Sealer(this.#domain, self, this.#signer);
    this.#verifier.enter(epoch, keys);
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
    return sealReport(this.#domain, this.#signer, said);
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

  passOver(from: ReplicaId): void {
    this.#verifier.passOver(from);
  }

  check(message: BftMessage, from: ReplicaId, done: () => void, epoch?: number): void {
    this.#verifier.check(message, from, done, epoch);
  }

  checkChange(payload: Uint8Array, from: ReplicaId, done: () => void): void {
    this.#verifier.checkChange(payload, from, done);
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
