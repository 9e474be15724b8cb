/**
 * How replicas tell each other which checkpoint they have, so that enough equal ones certify it.
 *
 * Owns: the two ways. Under crash faults a report is an entry of the order, and f + 1 equal ones count; under Byzantine faults the core
 * collects signed statements of a quorum. Leaves to others: taking checkpoints, and when to say it again (`checkpointer.ts`).
 */
import type { Executor } from "../execution/executor.js";
import { bytesOf, type Certificate, type Checkpoint } from "../model/checkpoint.js";
import type { ReplicaId } from "../model/ids.js";
import { votersOf } from "../model/membership.js";
import { encodeReport } from "../wire/checkpoint-codec.js";
import type { ToEngine } from "./channel.js";

export interface Attestation {
  /** The newest that is known. */
  readonly certificate: Certificate | undefined;
  /** The others have been told that this replica has it. */
  isTold(checkpoint: Checkpoint): boolean;
  tell(checkpoint: Checkpoint): void;
  /** As the core has told. */
  certified(certificate: Certificate): void;
}

export interface AttestationParts {
  readonly self: ReplicaId;
  readonly incarnation: number;
  readonly executor: Executor;
  /** Gets a report into the order: proposes it, or sends it to the leader. */
  readonly order: (report: Uint8Array) => void;
}

export function orderedAttestation({ self, incarnation, executor, order }: AttestationParts): Attestation {
  const { reports } = executor;
  return {
    get certificate() {
      return reports.certificate;
    },
    isTold: ({ last, root }) => reports.isReported(last.index, self, root),
    tell: (checkpoint) => {
      const { last, root } = checkpoint;
      const voters = votersOf(executor.configuration.membership.members);
      if (!voters.includes(self)) return;
      const bytes = bytesOf(checkpoint);
      order(encodeReport({ replica: self, incarnation, index: last.index, root, bytes, voters }));
    },
    certified: () => undefined,
  };
}

export function signedAttestation(toEngine: (message: ToEngine) => void): Attestation {
  let newest: Certificate | undefined;
  return {
    get certificate() {
      return newest;
    },
    isTold: () => false,
    tell: ({ last, root }) => toEngine({ kind: "attested", last, root }),
    certified: (certificate) => {
      newest = certificate;
    },
  };
}
