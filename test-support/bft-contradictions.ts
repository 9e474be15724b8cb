/** Replicas with real keys that contradict themselves, and lines of evidence against them. */
import { generateKeyPairSync } from "node:crypto";
import type { Domain } from "../src/authentication/domain.js";
import { contradictionLine } from "../src/authentication/evidence.js";
import { Sealer } from "../src/authentication/sealer.js";
import type {
  Checkpoint,
  Commit,
  NewView,
  Prepare,
  Signed,
  Statement,
  ViewChange,
} from "../src/consensus/bft/messages.js";
import type { LogIndex, View } from "../src/model/ids.js";
import { signerOf } from "../src/node/signatures.js";
import type { Signer } from "../src/ports/signatures.js";

export const mainDomain: Domain = { cluster: "main", epoch: 0 };
export const [one, other] = ["ab".repeat(32), "cd".repeat(32)];

export const prepare = (digest: string, view = 3, index = 17): Prepare => ({
  ...{ kind: "Prepare", view: view as View, index: index as LogIndex, digest },
});
export const commit = (digest: string, view = 3, index = 17): Commit => ({
  ...prepare(digest, view, index),
  kind: "Commit",
});
export const checkpoint = (digest: string, index = 16): Checkpoint => ({
  ...{ kind: "Checkpoint", index: index as LogIndex, digest },
});

/** Four of them. */
export class KeyedReplicas {
  readonly names = ["a", "b", "c", "d"] as const;
  readonly #signers = new Map<string, Signer>(
    this.names.map((name) => [name, signerOf(generateKeyPairSync("ed25519").privateKey)]),
  );

  get keys(): ReadonlyMap<string, Uint8Array> {
    return new Map([...this.#signers].map(([name, { publicKey }]) => [name, publicKey]));
  }

  seal<Kind extends Statement>(by: string, statement: Kind, domain = mainDomain): Signed<Kind> {
    const signer = this.#signers.get(by);
    if (signer === undefined) throw new Error(`there is no replica ${by}`);
    return new Sealer(domain, by, signer).seal(statement);
  }

  viewChange(by: string, view: number): Signed<ViewChange> {
    const stable = {
      ...{ index: 16 as LogIndex, digest: one },
      checkpoints: ["a", "b", "c"].map((signer) => this.seal(signer, checkpoint(one))),
    };
    return this.seal(by, { kind: "ViewChange", view: view as View, stable, prepared: [] });
  }

  newView(view: number, digests: readonly string[]): NewView {
    const viewChanges = ["a", "b", "c"].map((by) => this.viewChange(by, view));
    const proposals = digests.map((digest, at) => ({ index: (17 + at) as LogIndex, digest }));
    return { kind: "NewView", view: view as View, viewChanges, proposals };
  }

  /** What the two say, each signed by `by`. */
  line(by: string, first: Statement, second: Statement, domain = mainDomain): string {
    const key = this.keys.get(by) ?? new Uint8Array(32);
    const said = { first: this.seal(by, first, domain), second: this.seal(by, second, domain) };
    return contradictionLine({ domain, key, replicas: 4 }, said);
  }
}
