/**
 * What a world has in which replicas may lie: everybody's key, who lies and how, and what correct replicas have said.
 *
 * Owns: rules V29 and V30, and who counts among the f: whoever lies by plan, or has forgotten what it promised. What a liar does wrong, or is
 * misled to by itself, breaks no rule. Leaves to others: the behaviours (`liars/`), when a disk is put back (`nemesis.ts`). Owned by `world.ts`.
 */
import type { Limits } from "../api/config.js";
import { verifierDefaults } from "../authentication/message-verifier.js";
import { Sealer } from "../authentication/sealer.js";
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
  readonly members: readonly Member[];
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

/** So many messages a liar remembers. */
const receivedMax = 200;

export class ByzantineSide {
  readonly #parts: ByzantineParts;
  readonly #replicas: readonly ReplicaId[];
  readonly #limits: BftLimits;
  readonly #keys = new SimKeys();
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
    this.#replicas = parts.members.map(({ id }) => id);
    this.#limits = bftLimitsOf(parts.limits, this.#replicas.length);
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

  get members(): readonly Member[] {
    return this.#parts.members;
  }

  get faulty(): number {
    return this.#faulty.size;
  }

  clientSigner(id: string): Signer {
    return this.#keys.signerOf(`client ${id}`);
  }

  /** What a process of a replica needs to speak, beside what every replica has. */
  optionsFor(speaking: Speaking): Pick<OpenBftOptions, "seal" | "proofs" | "outgoing" | "evidence" | "hidesStarts"> {
    const { id, process } = speaking;
    const signer = this.#keys.signerOf(id);
    const keys = new Map(this.#replicas.map((each) => [each, this.#keys.signerOf(each).publicKey]));
    const received: BftMessage[] = [];
    const isLiar = this.#liars.has(id);
    const seal = new WatchedSeal(
      {
        ...{ self: id, signer, keys, domain: this.#domain, verifier: this.#keys.verifierOn(process.clock) },
        ...{ hash: simHash, clock: process.clock, settings: verifierDefaults },
      },
      (statement) => this.#says(id, statement),
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

  get #domain(): { readonly cluster: string; readonly epoch: number } {
    return { cluster: this.#parts.clusterId, epoch: 0 };
  }

  #lying({ id, process, state }: Speaking, received: readonly BftMessage[]): OpenBftOptions["outgoing"] {
    const liar = this.#liars.get(id);
    const { scheduler } = this.#parts;
    const replicas = this.#replicas;
    const friends = [...this.#liars.keys()];
    const sealers = new Map(friends.map((by) => [by, new Sealer(this.#domain, by, this.#keys.signerOf(by))]));
    const random = scheduler.random(`lies of ${id}`);
    return (to, message, send) => {
      const known = state();
      // Liars do not deceive one another.
      if (liar === undefined || known === undefined || this.#liars.has(to)) return [message];
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

  #says(id: ReplicaId, statement: Statement): void {
    if (this.isFaulty(id)) return;
    const about = `${id} ${statement.kind} ${"view" in statement ? statement.view : ""} ${"index" in statement ? statement.index : ""}`;
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
  readonly #says: (statement: Statement) => void;
  readonly #hears: (message: BftMessage) => void;

  constructor(parts: ReplicaSealParts, says: (statement: Statement) => void, hears: (message: BftMessage) => void) {
    super(parts);
    this.#says = says;
    this.#hears = hears;
  }

  override seal(statement: Statement): Signed {
    this.#says(statement);
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
