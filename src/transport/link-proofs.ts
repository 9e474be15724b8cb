/**
 * Proving to one another who speaks on a link, by keys: otherwise a liar holds the links of others in their place, and what an
 * impostor does is laid to whom it claims to be (threat 2).
 *
 * Owns: what each side signs: everything that both have said in the handshake, with a challenge of each, so that no recording and no
 * proof for another replica serves. Leaves to others: the signatures (`LinkProofs`), the order of messages (`link.ts`). What follows
 * on the link is not signed by it: someone in between who changes bytes is kept out by nothing here. Called by `peers.ts`.
 *
 *   Hello.credential    challenge 32
 *   Welcome.credential  challenge 32 | signatures of text "quorate link 1 acceptor", Hello and Welcome with its challenge alone
 *   Proof.signature     signatures of text "quorate link 1 dialer" and the same
 *   signatures          64 with each key that the replica has: one, or two while its key is exchanged, since it cannot tell which the other knows
 */
import { ByteWriter, concatBytes } from "../base/bytes.js";
import { invariant } from "../base/invariant.js";
import type { ReplicaId } from "../model/ids.js";
import type { Entropy } from "../ports/entropy.js";
import type { Claim } from "../ports/signatures.js";
import { encodeHandshake, type Hello, type Refused, type Welcome } from "../wire/handshake.js";
import { refused } from "./gate.js";

export interface LinkProofs {
  /** 32 bytes that nobody can foresee. */
  challenge(): Uint8Array;
  /** With each of this replica's keys. */
  sign(bytes: Uint8Array): Uint8Array;
  /** One of the signatures is by the key of `peer`; false for a replica whose key is not known. */
  isSignedBy(peer: ReplicaId, bytes: Uint8Array, signatures: Uint8Array): boolean;
}

/** Keys, as they are when a link is made. */
export interface LinkKeys {
  /** One signature for each key of this replica. */
  signLink(bytes: Uint8Array): readonly Uint8Array[];
  /** Of the members. */
  readonly keys: ReadonlyMap<ReplicaId, Uint8Array>;
}

export interface LinkKeysParts {
  readonly seal: LinkKeys;
  readonly entropy: Entropy;
  /** At once: a link is waited for. */
  readonly isSignedBy: (claim: Claim) => boolean;
}

const challengeBytes = 32;
const signatureBytes = 64;
const signaturesMax = 2;

/** By the keys that replicas sign statements with. */
export function linkKeys({ seal, entropy, isSignedBy }: LinkKeysParts): LinkProofs {
  return {
    challenge: () => entropy.bytes(challengeBytes),
    sign: (bytes) => concatBytes(seal.signLink(bytes)),
    isSignedBy: (peer, bytes, signatures) => {
      const publicKey = seal.keys.get(peer);
      if (publicKey === undefined) return false;
      return signaturesIn(signatures).some((signature) => isSignedBy({ publicKey, bytes, signature }));
    },
  };
}

/** The acceptor's answer to a Hello that it admits. */
export function provenWelcome(proofs: LinkProofs, hello: Hello, welcome: Welcome): Welcome | Refused {
  if (hello.credential.length !== challengeBytes) return wrongKey(hello.from);
  const challenge = proofs.challenge();
  const signature = proofs.sign(transcript("acceptor", hello, welcome, challenge));
  return { ...welcome, credential: concatBytes([challenge, signature]) };
}

/** The dialer's, to who answered; `hello` is what it said. */
export function objectionToWelcome(
  proofs: LinkProofs | undefined,
  hello: Hello | undefined,
  welcome: Welcome,
): Refused | undefined {
  if (proofs === undefined || hello === undefined) return undefined;
  const { credential } = welcome;
  if (credential === undefined) return wrongKey(welcome.from);
  const bytes = transcript("acceptor", hello, welcome, challengeOf(welcome));
  const isProved = proofs.isSignedBy(welcome.from, bytes, credential.subarray(challengeBytes));
  return isProved ? undefined : wrongKey(welcome.from);
}

export function proofOf(proofs: LinkProofs, hello: Hello | undefined, welcome: Welcome): Uint8Array {
  invariant(hello !== undefined, "a Welcome answers a Hello");
  return proofs.sign(transcript("dialer", hello, welcome, challengeOf(welcome)));
}

export function objectionToProof(
  proofs: LinkProofs,
  signature: Uint8Array,
  { hello, welcome }: { readonly hello: Hello; readonly welcome: Welcome },
): Refused | undefined {
  const bytes = transcript("dialer", hello, welcome, challengeOf(welcome));
  return proofs.isSignedBy(hello.from, bytes, signature) ? undefined : wrongKey(hello.from);
}

/** None in what has another length. */
function signaturesIn(bytes: Uint8Array): readonly Uint8Array[] {
  const count = bytes.length / signatureBytes;
  if (!Number.isInteger(count) || count > signaturesMax) return [];
  return Array.from({ length: count }, (_, at) => bytes.subarray(at * signatureBytes, (at + 1) * signatureBytes));
}

function challengeOf({ credential }: Welcome): Uint8Array {
  return (credential ?? new Uint8Array(0)).subarray(0, challengeBytes);
}

function transcript(side: "acceptor" | "dialer", hello: Hello, welcome: Welcome, challenge: Uint8Array): Uint8Array {
  const writer = new ByteWriter(512);
  writer.text(`quorate link 1 ${side}`);
  writer.bytes(encodeHandshake(hello));
  writer.bytes(encodeHandshake({ ...welcome, credential: challenge }));
  return writer.finish();
}

function wrongKey(peer: ReplicaId): Refused {
  return refused(
    "WRONG_KEY",
    `Whoever speaks as replica ${peer} has not proved it with the key that the members give it.`,
  );
}
