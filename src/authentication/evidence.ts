/**
 * Evidence against a replica: two statements that it signed and that contradict each other, for anybody to verify.
 *
 * Owns: the form of one such contradiction as a line of text, and whether it holds. What was signed is kept as the bytes that were
 * signed, so cluster, epoch and statement are read from them and from nowhere else, and any program that knows ed25519 can verify
 * them. Leaves to others: files, and who the members are. Called by whoever keeps evidence, and by `quorate evidence`.
 *
 *   {"quorate":"contradiction","version":1,"by":ID,"key":"ed25519:…","replicas":COUNT,"first":SIGNED,"second":SIGNED}
 *   SIGNED  {"signed":HEX,"signature":HEX}
 *
 * `key` and `replicas` help to read a line: nothing is proved by them. A NEW-VIEW holds certificates of so many replicas' quorums.
 */
import { hexOf } from "../base/bytes.js";
import { contradicts } from "../consensus/bft/contradiction.js";
import type { Signed, Statement } from "../consensus/bft/messages.js";
import type { ReplicaId } from "../model/ids.js";
import type { Claim } from "../ports/signatures.js";
import { keyNameOf } from "../wire/key-name.js";
import { readSignedBytes, signedBytesOf, type Domain } from "./domain.js";

export interface SignedBytes {
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

/** As it is read from a line: nothing of it was verified. */
export interface Contradiction {
  readonly by: ReplicaId;
  readonly key: Uint8Array;
  readonly replicas: number;
  readonly first: SignedBytes;
  readonly second: SignedBytes;
}

export interface EvidenceParts {
  readonly domain: Domain;
  /** Of the replica that contradicts itself. */
  readonly key: Uint8Array;
  readonly replicas: number;
}

/** A line, without its end. Only hexadecimal digits and names of replicas go into it, so nothing has to be escaped. */
export function contradictionLine(
  { domain, key, replicas }: EvidenceParts,
  { first, second }: { readonly first: Signed; readonly second: Signed },
): string {
  const part = ({ statement, signature }: Signed): string =>
    `{"signed":"${hexOf(signedBytesOf(domain, statement))}","signature":"${hexOf(signature)}"}`;
  const head = `"quorate":"contradiction","version":1,"by":"${first.by}","key":"${keyNameOf(key)}","replicas":${replicas}`;
  return `{${head},"first":${part(first)},"second":${part(second)}}`;
}

/** What a contradiction is about, as far as it can be read; and why it does not hold, unless it does. */
export interface Judgement {
  readonly domain: Domain | undefined;
  readonly first: Statement | undefined;
  readonly second: Statement | undefined;
  readonly objection: string | undefined;
}

export interface JudgeParts {
  /** The members' keys of that epoch, from somewhere one trusts. */
  readonly keys: ReadonlyMap<ReplicaId, Uint8Array>;
  /** If it is known. */
  readonly cluster: string | undefined;
  readonly isSignedBy: (claim: Claim) => boolean;
}

export function judge(contradiction: Contradiction, parts: JudgeParts): Judgement {
  const { first, second, replicas } = contradiction;
  const one = readSignedBytes(first.signed, replicas);
  const other = readSignedBytes(second.signed, replicas);
  const objection =
    one === undefined || other === undefined
      ? `what is signed ${one === undefined ? "first" : "second"} is no statement of a replica`
      : (objectionTo(one, other) ?? objectionToPlace(one.domain, parts) ?? objectionToSigner(contradiction, parts));
  return { domain: one?.domain, first: one?.statement, second: other?.statement, objection };
}

interface Said {
  readonly domain: Domain;
  readonly statement: Statement;
}

function objectionTo(one: Said, other: Said): string | undefined {
  if (one.domain.cluster !== other.domain.cluster) return "the two were said in different clusters";
  if (one.domain.epoch !== other.domain.epoch) return "the two were said in different epochs";
  return contradicts(one.statement, other.statement) ? undefined : "a correct replica may say both";
}

function objectionToPlace({ cluster }: Domain, parts: JudgeParts): string | undefined {
  if (parts.cluster === undefined || parts.cluster === cluster) return undefined;
  return `it is of cluster ${cluster}, and the members are of ${parts.cluster}`;
}

function objectionToSigner({ by, first, second }: Contradiction, { keys, isSignedBy }: JudgeParts): string | undefined {
  const publicKey = keys.get(by);
  if (publicKey === undefined) return `no key of ${by} is known`;
  for (const [name, { signed, signature }] of Object.entries({ first, second })) {
    if (!isSignedBy({ publicKey, bytes: signed, signature })) return `what is signed ${name} was not signed by ${by}`;
  }
  return undefined;
}
