/**
 * A replica under Byzantine faults, over this machine's ports: its key, and those of the others.
 *
 * Owns: joining these with the replica, and keeping evidence against others. Leaves to others: where keys come from (`server/key-file.ts`), everything else. Called by
 * `create-replica.ts`.
 */
import type { LowLevelMachine } from "../api/low-level.js";
import { contradictionLine } from "../authentication/evidence.js";
import { verifierDefaults } from "../authentication/message-verifier.js";
import type { Signed, Statement } from "../consensus/bft/messages.js";
import type { Evidence } from "../consensus/bft/turn.js";
import type { ReplicaId } from "../model/ids.js";
import type { Signer } from "../ports/signatures.js";
import { openBftReplica, type BftReplica, type OpenBftOptions } from "../replica/open-bft.js";
import type { OpenRefused, ReplicaPorts } from "../replica/open-replica.js";
import { ReplicaSeal } from "../replica/replica-seal.js";
import type { ReplicaObserver } from "../replica/replica.js";
import { ContradictionStore } from "../storage/contradiction-store.js";
import { linkKeys } from "../transport/link-proofs.js";
import { isSignedBy } from "./signatures.js";
import { SignatureThread } from "./signature-thread.js";

export interface ByzantineOptions {
  /** Has this replica's private key. */
  readonly signer: Signer;
  /** Has the one by which the members are about to know it. */
  readonly nextSigner?: Signer | undefined;
  /** The members' public keys, this replica's included: 32 bytes each. What a change of members says later counts instead. */
  readonly keys: ReadonlyMap<ReplicaId, Uint8Array>;
  /** Whose signature changes the members: a public key, the same at all replicas. Without it they are fixed. */
  readonly administrator?: Uint8Array | undefined;
  /** Makes this replica lie: what it sends in place of each message. For looking at how the others bear it, and for nothing else. */
  readonly lie?: ((seal: (statement: Statement) => Signed) => OpenBftOptions["outgoing"]) | undefined;
}

export interface Byzantine {
  readonly replica: BftReplica | OpenRefused;
  /** After the replica is closed. */
  close(): Promise<void>;
}

export function openByzantine(
  machine: LowLevelMachine,
  options: Omit<OpenBftOptions, "seal" | "proofs" | "evidence"> & { readonly byzantine: ByzantineOptions },
  ports: ReplicaPorts,
  observer: ReplicaObserver,
): Byzantine {
  const { id, clusterId, dataDir, byzantine } = options;
  const { hash, clock, disk } = ports;
  const domain = { cluster: clusterId, epoch: 0 };
  const verifier = new SignatureThread();
  const settings = verifierDefaults;
  const seal = new ReplicaSeal({ ...byzantine, self: id, hash, clock, domain, verifier, settings });
  const proofs = linkKeys({ seal, entropy: ports.entropy, isSignedBy });
  const outgoing = byzantine.lie?.((statement) => seal.seal(statement));
  let contradictions: ContradictionStore | undefined;
  const evidence = (found: Evidence): void => {
    const { by, first } = found;
    const { kind } = first.statement;
    observer.dropped("contradiction", `${by} has signed two statements that exclude each other: ${kind}`);
    const key = seal.keys.get(by);
    if (key === undefined) return;
    const parts = { domain: seal.domain, key, replicas: seal.keys.size };
    contradictions?.keep({ by, kind }, contradictionLine(parts, found), (failure) => {
      if (failure !== undefined) observer.dropped("evidence", failure.message);
    });
  };
  let replica: Byzantine["replica"];
  try {
    replica = openBftReplica(machine, { ...options, seal, proofs, outgoing, evidence }, ports, observer);
  } catch (cause) {
    void verifier.stop();
    throw cause;
  }
  // Once the directory is there.
  if (replica.kind === "opened") contradictions = new ContradictionStore(disk, dataDir);
  return {
    replica,
    close: async () => {
      await new Promise<void>((resolve) => (contradictions === undefined ? resolve() : contradictions.close(resolve)));
      await verifier.stop();
    },
  };
}
