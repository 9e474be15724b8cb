/**
 * What a world has in which replicas may lie: everybody's key, who lies and how, and what correct replicas have said.
 *
 * Owns: rules V29 and V30, and who counts among the f: whoever lies by plan, or has forgotten what it promised. What a liar does wrong, or is
 * misled to by itself, breaks no rule. Leaves to others: the behaviours (`liars/`), when a disk is put back (`nemesis.ts`). Owned by `world.ts`.
 */
import type { Limits } from "../api/config.js";
import type { Domain } from "../authentication/domain.js";
import { verifierDefaults } from "../authentication/message-verifier.js";
import { Sealer } from "../authentication/sealer.js";
import { invariant } from "../base/invariant.js";
import { contradicts } from "../consensus/bft/contradiction.js";
import type { BftMessage, Signed, Statement } from "../consensus/bft/messages.js";
import type { BftState } from "../consensus/bft/state.js";
import type { Evidence } from "../consensus/bft/turn.js";
import type { ReplicaId } from "../model/ids.js";
import type { Member } from "../model/membership.js";
import type { ReplicaMessage, Reply, RequestKey } from "../model/request.js";
import type { Signer } from "../ports/signatures.js";
import { bftLimitsOf, type OpenBftOptions } from "../replica/open-bft.js";
import { ReplicaSeal, type ReplicaSealParts } from "../replica/replica-seal.js";
import { linkKeys } from "../transport/link-proofs.js";
import { encodeBftMessage, type BftLimits } from "../wire/bft-codec.js";
import { voteDigest } from "../wire/client-codec.js";
import { keyNameOf } from "../wire/key-name.js";
import { must } from "./checkers/violation.js";
import { answeringFalsely, type Connect } from "./client-side.js";
import { Draw } from "./draw.js";
import { twin } from "./lies.js";
import { answeringLiars } from "./liars/answering.js";
import type { Liar, LiarTools } from "./liars/liar.js";
import { mutating } from "./liars/mutating.js";
import { liarNamed } from "./liars/named.js";
import { rebundled } from "./liars/on-the-wire.js";
import type { Markers } from "./markers.js";
import type { PlannedLie } from "./plan-lies.js";
import type { SimProcess } from "./process.js";
import type { Scheduler } from "./scheduler.js";
import { simHash } from "./sim-hash.js";
import { SimKeys } from "./sim-signatures.js";
import type { Trace } from "./trace.js";

export interface ByzantineParts {
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly markers: Markers;
  readonly clusterId: string;
  readonly founders: readonly Member[];
  /** The founders, and whoever may be added. */
  readonly everybody: readonly ReplicaId[];
  readonly lies: readonly PlannedLie[];
  readonly falseAnswers: readonly PlannedLie[];
  readonly limits: Limits;
}

/** One process of a replica. */
export interface Speaking {
  readonly id: ReplicaId;
  readonly process: SimProcess;
  /** Of its core; undefined until it runs. */
  readonly state: () => BftState | undefined;
}

/** With which keys the processes of a replica begin. */
interface Known {
  /** The name of its own. */
  readonly key: string;
  /** Of the one by which the members are about to know it. */
  readonly nextKey?: string | undefined;
  /** Names of those of the members with whom its directory began, its own included. */
  readonly keys: ReadonlyMap<ReplicaId, string>;
}

/** So many messages a liar remembers. */
const receivedMax = 200;

export class ByzantineSide {
  readonly #parts: ByzantineParts;
  readonly #replicas: readonly ReplicaId[];
  readonly #limits: BftLimits;
  readonly #keys = new SimKeys();
  readonly #signers = new Map<string, Signer>();
  readonly #known = new Map<ReplicaId, Known>();
  readonly #liars = new Map<ReplicaId, Liar>();
  /** Each runs twice. */
  readonly #twins = new Set<ReplicaId>();
  /** What clients are told in place of each message. */
  readonly #answers = new Map<ReplicaId, (message: ReplicaMessage) => readonly ReplicaMessage[]>();
  /** Why each counts among the f. */
  readonly #faulty = new Map<ReplicaId, string>();
  /** What each correct replica has said, by what no second one may be said about. */
  readonly #said = new Map<string, Statement>();
  /** Messages in whose place something else was sent. */
  readonly counts = { lie: 0, mutation: 0, falseAnswers: 0 };
  /** Views that a correct replica has entered. */
  readonly views = new Set<number>();

  constructor(parts: ByzantineParts) {
    this.#parts = parts;
    this.#replicas = parts.everybody;
    this.#limits = bftLimitsOf(parts.limits, parts.founders.length);
    const keys = new Map(parts.founders.map(({ id }) => [id, id]));
    for (const id of parts.everybody) this.#known.set(id, { key: id, keys });
    for (const { at, name } of parts.lies) {
      const id = this.#replicas[at];
      if (id === undefined) continue;
      if (name === twin) this.#twins.add(id);
      else this.#liars.set(id, name === "mutating" ? mutating() : liarNamed(name));
      this.distrust(id, `lies: ${name}`);
    }
    for (const { at, name } of parts.falseAnswers) {
      const id = this.#replicas[at];
      if (id !== undefined) this.#answerFalsely(id, name);
    }
  }

  #answerFalsely(self: ReplicaId, name: string): void {
    const answer = answeringLiars[name]?.();
    if (answer === undefined) throw new RangeError(`nobody answers as ${name}`);
    const random = this.#parts.scheduler.random(`answers of ${self}`);
    const digestOf = (key: RequestKey, reply: Reply): Uint8Array => voteDigest(simHash, key, reply);
    const tools = { self, replicas: this.#replicas, random, digestOf };
    this.#answers.set(self, (message) => {
      const said = answer(message, tools);
      if (said.length !== 1 || said[0] !== message) this.counts.falseAnswers += 1;
      return said;
    });
    this.#parts.trace.add(self, `answers falsely: ${name}`);
    this.distrust(self, `lies: ${name}`);
  }

  /** A client's connection to this replica, as the client has it. */
  clientSide(id: ReplicaId, connect: Connect): Connect {
    const answer = this.#answers.get(id);
    return answer === undefined ? connect : answeringFalsely(connect, answer);
  }

  /** Nothing that it does breaks a rule from now on. */
  distrust(id: ReplicaId, why: string): void {
    if (this.#faulty.has(id)) return;
    this.#faulty.set(id, why);
    this.#parts.trace.add(id, why);
  }

  isFaulty(id: ReplicaId): boolean {
    return this.#faulty.has(id);
  }

  isTwin(id: ReplicaId): boolean {
    return this.#twins.has(id);
  }

  get founders(): readonly Member[] {
    return this.#parts.founders;
  }

  get faulty(): number {
    return this.#faulty.size;
  }

  clientSigner(id: string): Signer {
    return this.#keys.signerOf(`client ${id}`);
  }

  /** In this run members change. */
  get mayChange(): boolean {
    return this.#parts.everybody.length > this.#parts.founders.length;
  }

  /** Whose signature changes the members. */
  get administrator(): Signer {
    return this.#signerOf("administrator");
  }

  /** A replica's, by the name of the key. */
  publicKey(name: string): Uint8Array {
    return this.#signerOf(name).publicKey;
  }

  /** What the next process of a replica knows. */
  knownOf(id: ReplicaId): Known {
    const known = this.#known.get(id);
    invariant(known !== undefined, "each replica has a key");
    return known;
  }

  /** It is not as it was at the founding. */
  know(id: ReplicaId, known: Known): void {
    this.#known.set(id, known);
  }

  /** What a process of a replica needs to speak, beside what every replica has. */
  optionsFor(speaking: Speaking): Pick<OpenBftOptions, "seal" | "proofs" | "outgoing" | "evidence" | "hidesStarts"> {
    const { id, process } = speaking;
    const known = this.knownOf(id);
    const { key, nextKey } = known;
    const signer = this.#signerOf(key);
    const keys = new Map([...known.keys].map(([each, name]) => [each, this.publicKey(name)]));
    const received: BftMessage[] = [];
    const isLiar = this.#liars.has(id);
    const seal = new WatchedSeal(
      {
        ...{ self: id, signer, keys, domain: this.#domain(0), verifier: this.#keys.verifierOn(process.clock) },
        ...{ hash: simHash, clock: process.clock, settings: verifierDefaults },
        nextSigner: nextKey === undefined ? undefined : this.#signerOf(nextKey),
        administrator: this.mayChange ? this.administrator.publicKey : undefined,
      },
      (statement, epoch) => this.#says(id, statement, epoch),
      (message) => {
        if (isLiar && received.push(message) > receivedMax) received.shift();
      },
    );
    const draw = new Draw(this.#parts.scheduler.random(`challenges ${process.name}`));
    const entropy = { bytes: (count: number) => Uint8Array.from({ length: count }, () => draw.between(0, 255)) };
    return {
      seal,
      proofs: linkKeys({ seal, entropy, isSignedBy: (claim) => this.#keys.isSigned(claim) }),
      outgoing: isLiar ? this.#lying(speaking, received) : undefined,
      hidesStarts: this.isTwin(id),
      evidence: (evidence) => this.#accused(id, evidence),
    };
  }

  #domain(epoch: number): Domain {
    return { cluster: this.#parts.clusterId, epoch };
  }

  #signerOf(name: string): Signer {
    const signer = this.#signers.get(name) ?? this.#keys.signerOf(name);
    this.#signers.set(name, signer);
    return signer;
  }

  /** By which the members know a liar, if there is one of theirs. */
  #sealerOf(by: ReplicaId, { epoch, keys }: BftState): Sealer | undefined {
    const name = keys.get(by);
    const signer = [...this.#signers.values()].find(({ publicKey }) => keyNameOf(publicKey) === name);
    return signer && new Sealer(this.#domain(epoch), by, signer);
  }

  #lying({ id, process, state }: Speaking, received: readonly BftMessage[]): OpenBftOptions["outgoing"] {
    const liar = this.#liars.get(id);
    const { scheduler } = this.#parts;
    const random = scheduler.random(`lies of ${id}`);
    let sealers = new Map<ReplicaId, Sealer | undefined>();
    let sealedIn = -1;
    return (to, message, send) => {
      const known = state();
      // Liars do not deceive one another, and who is no member has nothing to say.
      if (liar === undefined || known?.replicas.includes(id) !== true || this.#liars.has(to)) return [message];
      const { replicas, epoch } = known;
      const friends = [...this.#liars.keys()].filter((friend) => replicas.includes(friend));
      if (sealedIn !== epoch) sealers = new Map(friends.map((by) => [by, this.#sealerOf(by, known)]));
      sealedIn = epoch;
      const tools: LiarTools = {
        ...{ self: id, replicas, state: known, random, now: process.clock.monotonic(), friends, received },
        sign: <Kind extends Statement>(statement: Kind, by = id): Signed<Kind> => {
          const sealer = sealers.get(by);
          if (sealer === undefined) throw new RangeError(`${id} has no key of ${by}`);
          return sealer.seal(statement);
        },
        batchOf: (requests, of) => rebundled(requests, of, this.#limits, simHash),
        later: (ms, messages) => void process.clock.after(ms, () => messages().filter(hasForm).forEach(send)),
      };
      const sent = liar.outgoing(to, message, tools).filter((each) => each === message || hasForm(each));
      if (sent.length !== 1 || sent[0] !== message) this.counts[liar.name === "mutating" ? "mutation" : "lie"] += 1;
      return sent;
    };
  }

  #says(id: ReplicaId, statement: Statement, epoch: number): void {
    if (this.isFaulty(id)) return;
    const about = `${id} ${epoch} ${statement.kind} ${"view" in statement ? statement.view : ""} ${"index" in statement ? statement.index : ""}`;
    const earlier = this.#said.get(about);
    if (earlier === undefined) return void this.#said.set(about, statement);
    must(
      !contradicts(earlier, statement),
      "V30",
      () => `${id} has said ${textOf(earlier)}, and now ${textOf(statement)}`,
    );
  }

  #accused(id: ReplicaId, { by, first, second }: Evidence): void {
    if (this.isFaulty(id)) return;
    const { trace, markers } = this.#parts;
    trace.add(id, `proves that ${by} has said ${textOf(first.statement)} and ${textOf(second.statement)}`);
    markers.reach("a liar was proved to have contradicted itself");
    must(this.isFaulty(by), "V29", () => `${id} accuses ${by}, which is correct`);
    const isProof = first.by === by && second.by === by && contradicts(first.statement, second.statement);
    must(isProof, "V29", () => `${id} accuses ${by} of what a correct replica may say`);
  }
}

/** Tells what is signed, and what comes. */
class WatchedSeal extends ReplicaSeal {
  readonly #says: (statement: Statement, epoch: number) => void;
  readonly #hears: (message: BftMessage) => void;

  constructor(
    parts: ReplicaSealParts,
    says: (statement: Statement, epoch: number) => void,
    hears: (message: BftMessage) => void,
  ) {
    super(parts);
    this.#says = says;
    this.#hears = hears;
  }

  override seal(statement: Statement): Signed {
    this.#says(statement, this.domain.epoch);
    return super.seal(statement);
  }

  override check(message: BftMessage, from: ReplicaId, done: () => void, epoch?: number): void {
    this.#hears(message);
    super.check(message, from, done, epoch);
  }
}

/** A lie that cannot be written down is not sent. */
function hasForm(message: BftMessage): boolean {
  try {
    return encodeBftMessage(message).length > 0;
  } catch {
    return false;
  }
}

function textOf(statement: Statement): string {
  const view = "view" in statement ? ` in view ${statement.view}` : "";
  const index = "index" in statement ? ` for entry ${statement.index}` : "";
  const digest = "digest" in statement ? ` of ${statement.digest.slice(0, 8) || "nothing"}` : "";
  return `${statement.kind}${view}${index}${digest}`;
}
