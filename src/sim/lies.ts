/**
 * What a replica under Byzantine faults sends in place of what is right, or computes, by name: for looking at how the others bear it.
 *
 * Owns: a few lies. Its core runs correctly beneath; what it signs, it signs with its own key. Leaves to others: sending. Called by
 * `server/`, where a person asked for it; the tests have many more.
 */
import type { LowLevelMachine, MachineInstance, Migrated, Outcome } from "../api/low-level.js";
import { DecodeFailure, decodeValue, encodeValue } from "../wire/canonical.js";
import { nullBatch, type BftMessage, type Prepare, type Signed, type Statement } from "../consensus/bft/messages.js";
import type { ReplicaId } from "../model/ids.js";

export const lies = ["silent", "equivocate", "false-votes", "order-nothing", "corrupt-outputs"] as const;
export type Lie = (typeof lies)[number];

/** Beside those: the replica runs twice under one key, as two processes. Each is a correct replica. */
export const twin = "twin";

/** What is sent to a replica in place of a message. */
export type Outgoing = (to: ReplicaId, message: BftMessage) => readonly BftMessage[];

export interface Liar {
  readonly self: ReplicaId;
  /** All replicas. */
  readonly replicas: readonly ReplicaId[];
  readonly seal: (statement: Statement) => Signed;
}

/** Of a batch that nobody has. */
const noBatch = "f".repeat(64);

export function lyingBy(lie: Lie, { self, replicas, seal }: Liar): Outgoing {
  const prepareNothing = (prepare: Signed<Prepare>): BftMessage => {
    const statement: Prepare = { ...prepare.statement, digest: nullBatch.digest };
    return { kind: "PrePrepare", prepare: { ...seal(statement), statement }, batch: nullBatch };
  };
  const vote = (message: BftMessage, digest: string): BftMessage => {
    if (message.kind !== "Said" || message.signed.by !== self) return message;
    const { statement } = message.signed;
    const isVote = statement.kind === "Prepare" || statement.kind === "Commit";
    return isVote ? { kind: "Said", signed: seal({ ...statement, digest }) } : message;
  };
  const nothing: Outgoing = (_to, message) =>
    message.kind === "PrePrepare" ? [prepareNothing(message.prepare)] : [vote(message, nullBatch.digest)];
  switch (lie) {
    case "silent":
      return () => [];
    case "equivocate":
      // Half of the others are told that nothing is ordered, and it votes for both.
      return (to, message) => (replicas.indexOf(to) % 2 === 0 ? nothing(to, message) : [message]);
    case "false-votes":
      return (_to, message) => [vote(message, noBatch)];
    case "order-nothing":
      return nothing;
    case "corrupt-outputs":
      return (_to, message) => [message];
  }
}

/** Executes rightly, and answers each command with numbers that are too large by one. */
export function corruptingOutputs(machine: LowLevelMachine): LowLevelMachine {
  const { previous, migrate } = machine;
  return {
    ...machine,
    previous: previous === undefined ? undefined : corruptingOutputs(previous),
    ...(migrate === undefined ? {} : { migrate: (...given) => corruptMigrated(migrate.call(machine, ...given)) }),
    open: (environment) => corrupt(machine.open(environment)),
  };
}

function corruptMigrated(migrated: Migrated): Migrated {
  return migrated.status === "migrated" ? { ...migrated, instance: corrupt(migrated.instance) } : migrated;
}

function corrupt(instance: MachineInstance): MachineInstance {
  const apply = instance.apply.bind(instance);
  instance.apply = (batch) => apply(batch).map(withOtherNumbers);
  return instance;
}

function withOtherNumbers(outcome: Outcome): Outcome {
  if (outcome.status !== "ok") return outcome;
  const value = decodeValue(outcome.output);
  return value instanceof DecodeFailure ? outcome : { ...outcome, output: encodeValue(oneMore(value)) };
}

function oneMore(value: unknown): unknown {
  if (typeof value === "number") return value + 1;
  if (typeof value === "bigint") return value + 1n;
  if (Array.isArray(value)) return value.map(oneMore);
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, oneMore(each)]));
}
