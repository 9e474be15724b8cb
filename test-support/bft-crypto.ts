/**
 * Signatures that cannot be forged, for tests: good is exactly what was signed here, by whom it names.
 *
 * Owns: what an edge does before a core sees a message. A signature is an object that remembers what it is of; a changed statement, or
 * another signer beside it, is found out. Digests are the content itself, so they never collide.
 */
import { encodeUtf8 } from "../src/base/bytes.js";
import {
  batchIn,
  nullDigest,
  signedIn,
  type Batch,
  type BftMessage,
  type Reconfiguration,
  type RequestName,
  type Signed,
  type Statement,
  type Successor,
} from "../src/consensus/bft/messages.js";

const signatures = new WeakMap<
  Uint8Array,
  { readonly by: string; readonly epoch: number; readonly statement: Statement }
>();
/** A message goes to several replicas: it is verified once. */
const goodMessages = new WeakMap<BftMessage, number>();
const clientRequests = new WeakSet<RequestName>();
const changes = new WeakSet<Reconfiguration>();

export function sign<Kind extends Statement>(by: string, statement: Kind, epoch = 0): Signed<Kind> {
  const signature = new Uint8Array(0);
  signatures.set(signature, { by, epoch, statement });
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

/** Members given as `id` or `id/key`, after `epoch`. */
export function successorOf(members: readonly string[]): Successor {
  const names = members.map((text) => ({ id: text.split("/")[0] ?? "", key: text.split("/")[1] ?? "" }));
  return { members: names, payload: encodeUtf8(members.join(" ")) };
}

/** As the administrator asks for it. */
export function changeOf(epoch: number, members: readonly string[]): Batch {
  const reconfiguration = { epoch, successor: successorOf(members) };
  changes.add(reconfiguration);
  return { ...batchOf([requestOf("administrator", `${epoch} ${members.join(",")}`)]), reconfiguration };
}

function digestOf(requests: readonly RequestName[]): string {
  return requests.length === 0 ? nullDigest : requests.map(({ id }) => id).join(" ");
}

/** Of this epoch. */
export function isGood(message: BftMessage, epoch = 0): boolean {
  if (goodMessages.get(message) === epoch) return true;
  const isVerified = verify(message, epoch);
  if (isVerified) goodMessages.set(message, epoch);
  return isVerified;
}

function verify(message: BftMessage, epoch: number): boolean {
  const batch = batchIn(message);
  if (batch !== undefined) {
    if (batch.digest !== digestOf(batch.requests)) return false;
    if (!batch.requests.every((request) => clientRequests.has(request))) return false;
    if (batch.reconfiguration !== undefined && !changes.has(batch.reconfiguration)) return false;
  }
  return signedIn(message).every(({ by, statement, signature }) => {
    const signed = signatures.get(signature);
    return signed?.by === by && signed.epoch === epoch && signed.statement === statement;
  });
}
