/**
 * The means of liars: what a message says in its sender's own name, and saying something else in its place.
 *
 * Owns: what the families of behaviours beside it share. Leaves to others: the behaviours, and whose keys a liar has (`../byzantine.ts`).
 */
import { advance, type LogIndex } from "../../model/ids.js";
import {
  nullBatch,
  nullDigest,
  type Batch,
  type BftMessage,
  type NewView,
  type Prepare,
  type PreparedCertificate,
  type Signed,
  type Statement,
  type ViewChange,
} from "../../consensus/bft/messages.js";
import type { Liar, LiarTools } from "./liar.js";

/** One named behaviour. */
export interface LiarKind {
  /** What it is an instance of, in the catalogue of hazards. */
  readonly hazard?: string | undefined;
  make(): Omit<Liar, "name">;
}

export type LiarKinds = Readonly<Record<string, LiarKind>>;

/** Needs no memory of its own. */
export function sending(outgoing: Liar["outgoing"], hazard?: string): LiarKind {
  return { hazard, make: () => ({ outgoing }) };
}

/** What a message says, if it is a statement of the sender's own. */
export function ownIn(message: BftMessage, { self }: LiarTools): Statement | undefined {
  const signed = message.kind === "Said" ? message.signed : message.kind === "PrePrepare" ? message.prepare : undefined;
  return signed?.by === self ? signed.statement : undefined;
}

type Restate = (statement: Statement, to: string, tools: LiarTools) => readonly Statement[];

/** Sends other statements in place of its own ones; everything else as it is. */
export function restating(restate: Restate, hazard?: string): LiarKind {
  return sending((to, message, tools) => restated(message, to, tools, restate), hazard);
}

function restated(message: BftMessage, to: string, tools: LiarTools, restate: Restate): readonly BftMessage[] {
  const statement = ownIn(message, tools);
  if (statement === undefined) return [message];
  return restate(statement, to, tools).map((each): BftMessage => {
    if (each === statement) return message;
    const signed = tools.sign(each);
    if (message.kind === "PrePrepare" && each.kind === "Prepare") {
      return { kind: "PrePrepare", prepare: signed as Signed<Prepare>, batch: message.batch };
    }
    return { kind: "Said", signed };
  });
}

/** Does to its votes what `restate` says; several in place of one are sent all. */
export function revoting(
  restate: (vote: Vote, to: string, tools: LiarTools) => readonly Statement[],
  hazard?: string,
): LiarKind {
  return restating((each, to, tools) => (isVote(each) ? restate(each, to, tools) : [each]), hazard);
}

export function rechanging(
  restate: (statement: ViewChange, to: string, tools: LiarTools) => readonly Statement[],
  hazard?: string,
): LiarKind {
  return restating((each, to, tools) => (each.kind === "ViewChange" ? restate(each, to, tools) : [each]), hazard);
}

export function rebeginning(
  restate: (statement: NewView, to: string, tools: LiarTools) => readonly Statement[],
  hazard?: string,
): LiarKind {
  return restating((each, to, tools) => (each.kind === "NewView" ? restate(each, to, tools) : [each]), hazard);
}

/** Says more whenever it says where it stands, which it does all the time. */
export function adding(more: (to: string, tools: LiarTools) => readonly BftMessage[], hazard?: string): LiarKind {
  return sending(
    (to, message, tools) => (message.kind === "Status" ? [message, ...more(to, tools)] : [message]),
    hazard,
  );
}

export type Vote = Statement & { kind: "Prepare" | "Commit" };

export function isVote(statement: Statement): statement is Vote {
  return statement.kind === "Prepare" || statement.kind === "Commit";
}

/** Two halves, which every liar knows. */
export function isOther(to: string, { replicas }: LiarTools): boolean {
  return replicas.indexOf(to) % 2 === 0;
}

/** The same requests in another order, or none. */
export function otherBatch(batch: Batch, { batchOf }: Pick<LiarTools, "batchOf">): Batch {
  return batch.requests.length > 1 ? batchOf([...batch.requests].reverse(), batch) : nullBatch;
}

/** What a correct primary begins its view with, from these. */
export function beginningFrom(viewChanges: readonly Signed<ViewChange>[]): NewView["proposals"] {
  const stable = Math.max(...viewChanges.map(({ statement }) => statement.stable.index));
  const newest = new Map<LogIndex, PreparedCertificate>();
  for (const certificate of viewChanges.flatMap(({ statement }) => statement.prepared)) {
    const known = newest.get(certificate.index);
    if (known === undefined || certificate.view > known.view) newest.set(certificate.index, certificate);
  }
  const proposals: { index: LogIndex; digest: string }[] = [];
  const high = Math.max(...newest.keys());
  for (let index = advance(stable as LogIndex, 1); index <= high; index = advance(index, 1)) {
    proposals.push({ index, digest: newest.get(index)?.digest ?? nullDigest });
  }
  return proposals;
}

/** All with the first one in their places: one signer who counts as many. */
export function doubled<Kind extends Statement>(signed: readonly Signed<Kind>[]): readonly Signed<Kind>[] {
  return signed.map((each) => signed[0] ?? each);
}
