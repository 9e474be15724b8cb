/**
 * A replica under Byzantine faults, over this machine's ports: its key, and those of the others.
 *
 * Owns: joining these with the replica. Leaves to others: where keys come from (`server/key-file.ts`), everything else. Called by
 * `create-replica.ts`.
 */
import type { LowLevelMachine } from "../api/low-level.js";
import { verifierDefaults } from "../authentication/message-verifier.js";
import type { ReplicaId } from "../model/ids.js";
import type { Signer } from "../ports/signatures.js";
import { openBftReplica, type BftReplica, type OpenBftOptions } from "../replica/open-bft.js";
import type { OpenRefused, ReplicaPorts } from "../replica/open-replica.js";
import { ReplicaSeal } from "../replica/replica-seal.js";
import type { ReplicaObserver } from "../replica/replica.js";
import { nodeVerifier } from "./signatures.js";

export interface ByzantineOptions {
  /** Has this replica's private key. */
  readonly signer: Signer;
  /** The members' public keys, this replica's included: 32 bytes each. */
  readonly keys: ReadonlyMap<ReplicaId, Uint8Array>;
}

/** Members do not change under Byzantine faults yet, so there is one epoch. */
const epoch = 0;

export function openByzantine(
  machine: LowLevelMachine,
  options: Omit<OpenBftOptions, "seal" | "evidence"> & { readonly byzantine: ByzantineOptions },
  ports: ReplicaPorts,
  observer: ReplicaObserver,
): BftReplica | OpenRefused {
  const { id, clusterId, byzantine } = options;
  const { hash, clock } = ports;
  const seal = new ReplicaSeal({
    ...{ self: id, signer: byzantine.signer, keys: byzantine.keys, hash, clock },
    domain: { cluster: clusterId, epoch },
    verifier: nodeVerifier,
    settings: verifierDefaults,
  });
  return openBftReplica(
    machine,
    {
      ...options,
      seal,
      evidence: ({ by, first }) => {
        observer.dropped(
          "contradiction",
          `${by} has signed two statements that exclude each other: ${first.statement.kind}`,
        );
      },
    },
    ports,
    observer,
  );
}
