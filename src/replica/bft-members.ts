/**
 * The members around a PBFT core: who they are in its epoch, changes that an administrator asks for, and those who are in another epoch.
 *
 * Owns: the keys and addresses of the epoch, the one change that waits to be proposed, telling others how an epoch began. Leaves to others: what
 * counts and when (`consensus/bft/epoch.ts`), signatures (`replica-seal.ts`). Called by `bft-driver.ts`.
 */
import type { BftMessage, Reconfiguration, RequestName, Successor } from "../consensus/bft/messages.js";
import { endOf, objectionTo, welcomeOf, type ChangeObjection } from "../consensus/bft/epoch.js";
import { isMember, type BftState, type Handover } from "../consensus/bft/state.js";
import { noTerm, type ReplicaId } from "../model/ids.js";
import type { InstructionOutcome, InstructionRefusal } from "../model/instruction.js";
import { decodeMembership } from "../model/membership-codec.js";
import type { Configuration, Membership } from "../model/membership.js";
import type { Hash } from "../ports/hash.js";
import { decodeBftMessage, encodeInEpoch, type BftLimits } from "../wire/bft-codec.js";
import { reconfigurationName } from "../wire/signed-batch.js";
import { decodeReconfiguration } from "../wire/successor-codec.js";
import type { ReplicaSeal } from "./replica-seal.js";

export interface BftMembersParts {
  readonly state: BftState;
  /** Of the epoch in which this replica's log begins; none at one that joins. */
  readonly founding: Configuration;
  readonly seal: ReplicaSeal;
  readonly limits: BftLimits;
  readonly hash: Hash;
  /** Encoded, with its epoch. */
  readonly send: (to: ReplicaId, bytes: Uint8Array) => void;
  /** A change that everybody must hear of. */
  readonly tell: (to: ReplicaId, payload: Uint8Array) => void;
  readonly instructed: (id: number, outcome: InstructionOutcome) => void;
  readonly dropped: (reason: string, detail: string) => void;
}

const refusals: Readonly<Record<ChangeObjection, InstructionRefusal>> = {
  "none change": "NOTHING_CHANGES",
  "too few": "TOO_FEW_MEMBERS",
  "too many leave": "TOO_MANY_CHANGES",
  "too many are new": "TOO_MANY_CHANGES",
};

interface Change {
  readonly payload: Uint8Array;
  readonly name: RequestName;
}

export class BftMembers {
  readonly #parts: BftMembersParts;
  #configuration: Configuration;
  /** Asked for, and not decided in this epoch. */
  #change: Change | undefined;
  #isProposed = false;
  /** Instructions that end when it is decided. */
  #asked: number[] = [];
  /** Told since the last tick. */
  readonly #answered = new Set<ReplicaId>();

  constructor(parts: BftMembersParts) {
    this.#parts = parts;
    const { membership } = parts.founding;
    const members = membership.members.map((member) => ({ ...member, key: parts.seal.keys.get(member.id) }));
    this.#configuration = { ...parts.founding, membership: { members } };
    const last = parts.state.handovers.at(-1)?.certificate.ending?.successor;
    if (last !== undefined) this.#use(last);
  }

  get configuration(): Configuration {
    return this.#configuration;
  }

  get limits(): BftLimits {
    return { ...this.#parts.limits, replicaCount: this.#parts.state.replicas.length };
  }

  tick(): void {
    this.#answered.clear();
  }

  /** The epoch of `state` has begun. */
  began(successor: Successor): void {
    this.#use(successor);
    this.#change = undefined;
    for (const id of this.#asked.splice(0)) this.#parts.instructed(id, "BUSY");
  }

  /** An administrator asks here: all are told, as the primary may be the one that lies. */
  ask(id: number, signed: Uint8Array): void {
    const { state, seal, instructed, tell } = this.#parts;
    const payload = new Uint8Array(signed);
    const reconfiguration = decodeReconfiguration(payload);
    const refusal = seal.administrator === undefined ? "FIXED_MEMBERS" : this.#refusalOf(reconfiguration);
    if (refusal !== undefined) return instructed(id, refusal);
    const { epoch } = state;
    seal.checkChange(payload, state.self, () => {
      if (state.epoch !== epoch) return instructed(id, "OTHER_EPOCH");
      this.#asked.push(id);
      this.#keep(payload);
      for (const to of state.replicas) if (to !== state.self) tell(to, payload);
    });
  }

  /** Passed on by another replica. `done`: it is worth waiting for. */
  hear(payload: Uint8Array, from: ReplicaId, done: () => void): void {
    const { seal, state } = this.#parts;
    const reconfiguration = decodeReconfiguration(payload);
    if (reconfiguration === undefined) return seal.malformed(from);
    if (this.#refusalOf(reconfiguration) !== undefined) return;
    const { epoch } = state;
    seal.checkChange(payload, from, () => {
      if (state.epoch !== epoch || state.ending !== undefined) return;
      this.#keep(payload);
      done();
    });
  }

  /** It waits to be decided. */
  get waiting(): RequestName | undefined {
    return this.#change?.name;
  }

  /** At the primary, once in each view. */
  nextProposal(): Uint8Array | undefined {
    if (this.#change === undefined || this.#isProposed) return undefined;
    this.#isProposed = true;
    return this.#change.payload;
  }

  /** Another view, or primary. */
  restart(): void {
    this.#isProposed = false;
  }

  /** What is decided names these. */
  decided(requests: readonly RequestName[]): void {
    const { state, instructed } = this.#parts;
    if (state.ending === undefined && !requests.some(({ id }) => id === this.#change?.name.id)) return;
    const isItself = requests.some(({ id }) => id === this.#change?.name.id) && state.ending !== undefined;
    this.#change = undefined;
    for (const id of this.#asked.splice(0)) instructed(id, isItself ? "done" : "BUSY");
  }

  /** From one who is in another epoch than this replica. A later one will be told of here when this replica says where it is. */
  receiveOther(from: ReplicaId, epoch: number, bytes: Uint8Array, joined: (handover: Handover) => void): void {
    const { state } = this.#parts;
    if (state.epoch < 0) return this.#receiveOutside(from, epoch, bytes, joined);
    if (epoch > state.epoch || this.#answered.has(from)) return;
    const handover = epoch < 0 ? welcomeOf(state, from) : endOf(state, epoch);
    if (handover === undefined || this.#decode(bytes)?.kind !== "Status") return;
    this.#answered.add(from);
    const message: BftMessage = { kind: "Stable", certificate: handover.certificate };
    this.#parts.send(from, encodeInEpoch(handover.epoch - 1, message));
  }

  #receiveOutside(from: ReplicaId, epoch: number, bytes: Uint8Array, joined: (handover: Handover) => void): void {
    if (epoch < 0) return;
    const { seal, state } = this.#parts;
    const message = this.#decode(bytes);
    if (message?.kind !== "Stable") return;
    const { certificate } = message;
    const handOver = (): void => {
      if (state.epoch < 0) joined({ epoch: epoch + 1, certificate });
    };
    seal.check(message, from, handOver, epoch);
  }

  #decode(bytes: Uint8Array): BftMessage | undefined {
    return decodeBftMessage(bytes, this.limits, this.#parts.hash);
  }

  #refusalOf(reconfiguration: Reconfiguration | undefined): InstructionRefusal | undefined {
    const { state } = this.#parts;
    if (reconfiguration === undefined) return "NOT_SIGNED";
    if (!isMember(state) || reconfiguration.epoch !== state.epoch) return "OTHER_EPOCH";
    if (state.ending !== undefined) return "BUSY";
    const objection = objectionTo(state, reconfiguration.successor);
    return objection && refusals[objection];
  }

  #keep(payload: Uint8Array): void {
    const name = reconfigurationName(payload, this.#parts.hash);
    if (this.#change?.name.id === name.id) return;
    this.#change = { payload, name };
    this.#isProposed = false;
  }

  #use({ payload }: Successor): void {
    const { state, seal, dropped } = this.#parts;
    const membership: Membership = decodeMembership(payload) ?? { members: [] };
    this.#configuration = { index: state.base.index, term: noTerm, membership };
    const keys = membership.members.flatMap(({ id, key }) => (key === undefined ? [] : [[id, key] as const]));
    seal.enter(state.epoch, new Map(keys));
    if (isMember(state) && !seal.canSign)
      dropped("key", `in epoch ${state.epoch} the members know this replica by a key that it does not have`);
  }
}
