/**
 * Signatures that cannot be forged, for tests: good is exactly what was signed here, by whom it names.
 *
 * Owns: what an edge does before a core sees a message. A signature is an object that remembers what it is of; a changed statement, or
 * another signer beside it, is found out. Digests are the content itself, so they never collide.
 */
import {
  batchIn,
  nullDigest,
  signedIn,
  type Batch,
  type BftMessage,
  type RequestName,
  type Signed,
  type Statement,
} from "../src/consensus/bft/messages.js";

const signatures = new WeakMap<Uint8Array, { readonly by: string; readonly statement: Statement }>();
/** A message goes to several replicas: it is verified once. */
const goodMessages = new WeakSet<BftMessage>();
const clientRequests = new WeakSet<RequestName>();

export function sign<Kind extends Statement>(by: string, statement: Kind): Signed<Kind> {
  const signature = new Uint8Array(0);
  signatures.set(signature, { by, statement });
  return { statement, by, signature };
}

/** `number` may be text, where a client gives several requests one number. */
export function requestOf(client: string, number: number | string): RequestName {
  const request = { client, id: `${client}:${number}` };
  clientRequests.add(request);
  return request;
}

export function batchOf(requests: readonly RequestName[]): Batch {
  const digest = digestOf(requests);
  return { digest, proposal: { kind: "batch", time: 0, payload: new Uint8Array(0) }, requests };
}

function digestOf(requests: readonly RequestName[]): string {
  return requests.length === 0 ? nullDigest : requests.map(({ id }) => id).join(" ");
}

export function isGood(message: BftMessage): boolean {
  if (goodMessages.has(message)) return true;
  const isVerified = verify(message);
  if (isVerified) goodMessages.add(message);
  return isVerified;
}

function verify(message: BftMessage): boolean {
  const batch = batchIn(message);
  if (batch !== undefined) {
    if (batch.digest !== digestOf(batch.requests)) return false;
    if (!batch.requests.every((request) => clientRequests.has(request))) return false;
  }
  return signedIn(message).every(({ by, statement, signature }) => {
    const signed = signatures.get(signature);
    return signed?.by === by && signed.statement === statement;
  });
}
