/**
 * One PBFT core of four, driven by hand: the test plays all others, and may sign as any of them.
 *
 * Owns: performing effects at once as a host does (writes become durable in order, then what rests on them is signed, sent and handed
 * back), unless the disk is held. Leaves to others: what the others say.
 */
import type {
  Batch,
  BftMessage,
  Checkpoint,
  Ending,
  NewView,
  Signed,
  Statement,
  ViewChange,
} from "../src/consensus/bft/messages.js";
import { createBftState, type BftRecord, type BftSettings, type BftState } from "../src/consensus/bft/state.js";
import { step, type BftInput } from "../src/consensus/bft/step.js";
import type { BftEffect, Say } from "../src/consensus/bft/turn.js";
import { logIndex, noIndex, type LogIndex, type View } from "../src/model/ids.js";
import { bftSettings } from "./bft-cluster.js";
import { batchOf, isGood, requestOf, sign } from "./bft-crypto.js";

export const bftReplicas = ["a", "b", "c", "d"] as const;

export function at(index: number): LogIndex {
  return logIndex(index) ?? noIndex;
}

export const batch = (name: string): Batch => batchOf([requestOf(name, 1)]);

export const vote = (
  by: string,
  kind: "Prepare" | "Commit",
  where: { view?: number; index: number; digest: string },
): Signed<Statement & { kind: "Prepare" | "Commit" }> =>
  sign(by, { kind, view: (where.view ?? 0) as View, index: at(where.index), digest: where.digest });

export const checkpointBy = (by: string, index: number, digest: string): Signed<Checkpoint> =>
  sign(by, { kind: "Checkpoint", index: at(index), digest });

export class BftCore {
  state: BftState;
  now = 0;
  isDiskHeld = false;
  readonly disk: BftRecord[] = [];
  readonly sent: { readonly to: string; readonly message: BftMessage }[] = [];
  readonly said: Statement[] = [];
  readonly effects: BftEffect[] = [];
  readonly #self: string;
  readonly #settings: Partial<BftSettings>;
  readonly #held: (BftEffect & { kind: "persist" })[] = [];

  constructor(self: string, settings: Partial<BftSettings> = {}) {
    this.#self = self;
    this.#settings = settings;
    this.state = this.#create(noIndex);
  }

  step(input: BftInput): this {
    const loop = [input];
    for (let next = loop.shift(); next !== undefined; next = loop.shift()) {
      for (const effect of step(this.state, next, this.now)) {
        this.effects.push(effect);
        if (effect.kind === "send") this.sent.push(effect);
        else if (effect.kind === "say") loop.push(this.#say(effect.say));
        else if (effect.kind === "persist") {
          this.#held.push(effect);
          if (!this.isDiskHeld) loop.push(...this.#write());
        }
      }
    }
    return this;
  }

  release(): this {
    this.isDiskHeld = false;
    for (const input of this.#write()) this.step(input);
    return this;
  }

  /** Through the edge, as the others' messages come. */
  receive(message: BftMessage, from = "d"): this {
    if (!isGood(message, Math.max(0, this.state.epoch))) throw new Error(`the edge would refuse this ${message.kind}`);
    return this.step({ kind: "receive", from, message });
  }

  hear(...statements: readonly Signed[]): this {
    for (const signed of statements) this.receive({ kind: "Said", signed }, signed.by);
    return this;
  }

  /** The primary of `view` proposes; the others named say PREPARE, then COMMIT. */
  propose(index: number, proposed: Batch, view = 0): this {
    const by = bftReplicas[view % 4] ?? "a";
    const prepare = sign(by, {
      kind: "Prepare" as const,
      view: view as View,
      index: at(index),
      digest: proposed.digest,
    });
    return this.receive({ kind: "PrePrepare", prepare, batch: proposed }, by);
  }

  votes(
    kind: "Prepare" | "Commit",
    by: readonly string[],
    where: { view?: number; index: number; digest: string },
  ): this {
    return this.hear(...by.map((each) => vote(each, kind, where)));
  }

  /** Decides `batch` at `index` in view 0 with the votes of a and c. */
  decide(index: number, decided: Batch): this {
    const where = { index, digest: decided.digest };
    return this.propose(index, decided).votes("Prepare", ["c"], where).votes("Commit", ["a", "c"], where);
  }

  tick(ms: number): this {
    this.now += ms;
    return this.step({ kind: "tick" });
  }

  /** Only what was durable is left. */
  restart(executed = 0, configured?: Ending): this {
    this.#held.length = 0;
    this.isDiskHeld = false;
    this.said.length = 0;
    this.sent.length = 0;
    this.state = this.#create(at(executed), configured);
    return this;
  }

  saidOf<Kind extends Statement["kind"]>(kind: Kind): readonly (Statement & { kind: Kind })[] {
    return this.said.filter((each): each is Statement & { kind: Kind } => each.kind === kind);
  }

  effectsOf<Kind extends BftEffect["kind"]>(kind: Kind): readonly (BftEffect & { kind: Kind })[] {
    return this.effects.filter((each): each is BftEffect & { kind: Kind } => each.kind === kind);
  }

  #create(executed: LogIndex, configured?: Ending): BftState {
    const settings = { ...bftSettings, ...this.#settings };
    return createBftState(
      { self: this.#self, replicas: bftReplicas, settings, records: this.disk, executed, configured },
      this.now,
    );
  }

  #write(): readonly BftInput[] {
    return this.#held.splice(0).flatMap(({ write, then }) => {
      this.disk.push(...write.records);
      return then.map((say) => this.#say(say));
    });
  }

  #say({ epoch, statement, batch: attached }: Say): BftInput {
    if (epoch !== this.state.epoch) throw new Error(`said in epoch ${this.state.epoch}: ${statement.kind} of ${epoch}`);
    this.said.push(statement);
    const signed = sign(this.#self, statement, epoch);
    const message: BftMessage =
      attached !== undefined && statement.kind === "Prepare"
        ? { kind: "PrePrepare", prepare: sign(this.#self, statement, epoch), batch: attached }
        : { kind: "Said", signed };
    for (const to of this.state.replicas) if (to !== this.#self) this.sent.push({ to, message });
    return { kind: "receive", from: this.#self, message };
  }
}

/** What a replica that has decided nothing says when it leaves for `view`. */
export function viewChangeBy(
  by: string,
  view: number,
  more: Partial<Pick<ViewChange, "stable" | "prepared">> = {},
): Signed<ViewChange> {
  const stable = { index: noIndex, digest: "", checkpoints: [] };
  return sign(by, { kind: "ViewChange", view: view as View, stable, prepared: [], ...more });
}

export function preparedBy(
  by: readonly string[],
  where: { view?: number; index: number; digest: string },
): ViewChange["prepared"][number] {
  const view = (where.view ?? 0) as View;
  const index = at(where.index);
  const { digest } = where;
  const prepares = by.map((each) => sign(each, { kind: "Prepare" as const, view, index, digest }));
  return { view, index, digest, prepares };
}

export function newViewBy(by: string, statement: Omit<NewView, "kind" | "view"> & { view: number }): Signed<NewView> {
  return sign(by, { ...statement, kind: "NewView", view: statement.view as View });
}
