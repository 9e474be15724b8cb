/**
 * The gate in front of a core under Byzantine faults: only messages whose every signature is good come through, and whoever sends
 * others harms itself alone (hazards B6, B23 and B24).
 *
 * Owns: the order of work. Each sender has a queue with a bound; senders take turns, replicas and clients each get half of them, and a
 * turn is a few signatures, of one message or of several. What is worthless (malformed, of a stranger, wrongly signed) is paid from its
 * sender's budget, and a sender without budget is not looked at. What was found good is known for a while. Leaves to
 * others: what a message means, who a sender is. Called by whoever joins a core to its links.
 *
 * What is checked is answered in order for each sender. `done` is called for good messages only, and from within `check` where there is
 * nothing to wait for.
 */
import type { BftMessage, Signed } from "../consensus/bft/messages.js";
import type { ReplicaId } from "../model/ids.js";
import type { Clock } from "../ports/clock.js";
import type { Hash } from "../ports/hash.js";
import type { SignatureVerifier } from "../ports/signatures.js";
import type { Bundle } from "../wire/signed-batch.js";
import type { SignedReport } from "../wire/signed-report.js";
import {
  claimOf,
  claimOfChange,
  claimOfReport,
  claimsOf,
  clients,
  type PublicKeys,
  type SignerClaim,
} from "./claims.js";
import { Credit, type CreditSettings } from "./credit.js";
import { signedBytesOfBundle, type Domain } from "./domain.js";
import { KnownSignatures, nameOf } from "./known-signatures.js";

export interface VerifierSettings {
  /** Worthless messages of one sender. */
  readonly credit: CreditSettings;
  /** Signatures in messages of one sender, known ones too: a NEW-VIEW has thousands. */
  readonly work: CreditSettings;
  /** Signatures that wait for one sender. */
  readonly waitingCountMax: number;
  /** Signatures of one turn. */
  readonly turnCountMax: number;
  /** While so many signatures are under way no further turn begins; each turn is of another sender. */
  readonly underWayCountMax: number;
  /** Signatures that are known to be good, of each member and of all clients together. */
  readonly knownCountMax: number;
}

export const verifierDefaults: VerifierSettings = {
  credit: { burst: 16, perSecond: 4 },
  work: { burst: 60_000, perSecond: 20_000 },
  waitingCountMax: 4096,
  turnCountMax: 16,
  underWayCountMax: 32,
  knownCountMax: 8192,
};

export interface VerifierParts {
  /** In the epoch that it begins with. */
  readonly domain: Domain;
  /** Of the members, this replica included. */
  readonly keys: PublicKeys;
  readonly administrator?: Uint8Array | undefined;
  readonly hash: Hash;
  readonly clock: Clock;
  readonly verifier: SignatureVerifier;
  readonly settings: VerifierSettings;
}

/** Messages that were refused, by why; `signatures` counts those that were verified, `known` those that needed not be. */
export interface VerifierCounters {
  malformed: number;
  stranger: number;
  wronglySigned: number;
  overBudget: number;
  queueFull: number;
  signatures: number;
  known: number;
}

interface NamedClaim extends SignerClaim {
  /** See `nameOf`. */
  readonly name: string;
}

/** A message, or a bundle. */
interface Waiting {
  readonly claims: readonly NamedClaim[];
  /** So many of them were looked at, or are in the turn under way. */
  looked: number;
  isWrong: boolean;
  /** What it counts for in its queue: one at least, so that a queue is bounded in messages as well. */
  readonly cost: number;
  readonly done: () => void;
}

interface Sender {
  readonly name: string;
  readonly credit: Credit;
  readonly work: Credit;
  readonly queue: Waiting[];
  waitingCount: number;
  isInTurn: boolean;
}

export class MessageVerifier {
  readonly counters: VerifierCounters = {
    ...{ malformed: 0, stranger: 0, wronglySigned: 0, overBudget: 0, queueFull: 0 },
    ...{ signatures: 0, known: 0 },
  };
  readonly #parts: VerifierParts;
  #domain: Domain;
  #keys: PublicKeys;
  readonly #known: KnownSignatures;
  readonly #replicas = new Map<ReplicaId, Sender>();
  readonly #clients = new Map<string, Sender>();
  /** Senders with something to look at, those first that waited longest; a sender stands in one of the lines, or is in its turn. */
  readonly #replicaLine = new Set<Sender>();
  readonly #clientLine = new Set<Sender>();
  #underWayCount = 0;
  #isClientsTurn = false;

  constructor(parts: VerifierParts) {
    this.#parts = parts;
    this.#domain = parts.domain;
    this.#keys = parts.keys;
    this.#known = new KnownSignatures(parts.hash, parts.settings.knownCountMax);
    for (const id of parts.keys.keys()) this.#replicas.set(id, this.#newSender(id));
  }

  /** Another epoch has begun: what waits of the one before is good for nothing, and its members may be others. */
  enter(epoch: number, keys: PublicKeys): void {
    this.#domain = { ...this.#domain, epoch };
    this.#keys = keys;
    for (const [id, sender] of this.#replicas) {
      sender.queue.length = 0;
      sender.waitingCount = 0;
      this.#replicaLine.delete(sender);
      if (!keys.has(id)) this.#replicas.delete(id);
    }
    for (const id of keys.keys()) if (!this.#replicas.has(id)) this.#replicas.set(id, this.#newSender(id));
  }

  /** Asked before what came from a replica is decoded. */
  isOpenTo(from: ReplicaId): boolean {
    const sender = this.#replicas.get(from);
    if (sender === undefined) this.counters.stranger += 1;
    return sender !== undefined && this.#isOpen(sender);
  }

  /** What came from a replica is not a message. */
  malformed(from: ReplicaId): void {
    this.counters.malformed += 1;
    this.#replicas.get(from)?.credit.spend(this.#now());
  }

  /** What came from a replica, whole and of a member, is not needed any more: it costs its sender what a known one does. */
  passOver(from: ReplicaId): void {
    this.counters.known += 1;
    this.#replicas.get(from)?.work.spend(this.#now());
  }

  /** `from`: who sent it and pays for it, which need not be who signed it. `epoch`: of another than this one. */
  check(message: BftMessage, from: ReplicaId, done: () => void, epoch = this.#domain.epoch): void {
    const { administrator } = this.#parts;
    const signers = { keys: this.#keys, administrator };
    this.#check(from, () => claimsOf({ ...this.#domain, epoch }, signers, message), done);
  }

  /** As `check`. */
  checkReport(report: SignedReport, from: ReplicaId, done: () => void): void {
    this.#checkOne(from, () => claimOfReport(this.#domain, this.#keys, report), done);
  }

  /** A change of members, as it was decoded, that another replica passes on. */
  checkChange(payload: Uint8Array, from: ReplicaId, done: () => void): void {
    this.#checkOne(from, () => claimOfChange(this.#domain, this.#parts.administrator, payload), done);
  }

  #checkOne(from: ReplicaId, claimIn: () => SignerClaim | undefined, done: () => void): void {
    const claims = (): readonly SignerClaim[] | undefined => {
      const claim = claimIn();
      return claim && [claim];
    };
    this.#check(from, claims, done);
  }

  #check(from: ReplicaId, claimsIn: () => readonly SignerClaim[] | undefined, done: () => void): void {
    if (!this.isOpenTo(from)) return;
    const claims = claimsIn();
    const sender = this.#replicas.get(from);
    if (sender !== undefined && claims !== undefined) return this.#accept(sender, claims, done);
    this.counters.stranger += 1;
    sender?.credit.spend(this.#now());
  }

  /** What a client's connection asks; `from` names the connection. */
  checkBundle({ name, key, signature }: Bundle, from: string, done: () => void): void {
    const sender = this.#clients.get(from) ?? this.#newSender(from);
    this.#clients.set(from, sender);
    if (!this.#isOpen(sender)) return;
    const bytes = signedBytesOfBundle(this.#domain.cluster, name.id);
    this.#accept(sender, [{ signer: clients, publicKey: key, signature, bytes }], done);
  }

  /** The connection is closed: what it still waits for is not answered. */
  forget(from: string): void {
    const sender = this.#clients.get(from);
    if (sender === undefined) return;
    sender.queue.length = 0;
    this.#clientLine.delete(sender);
    this.#clients.delete(from);
  }

  /** Signed here: it comes back in what others prove. */
  trust(signed: Signed): void {
    const claim = claimOf(this.#domain, this.#keys, signed);
    if (claim !== undefined) this.#known.add(claim.signer, claim);
  }

  #isOpen({ credit, work }: Sender): boolean {
    const now = this.#now();
    if (credit.hasSome(now) && work.hasSome(now)) return true;
    this.counters.overBudget += 1;
    return false;
  }

  #accept(sender: Sender, claims: readonly SignerClaim[], done: () => void): void {
    sender.work.spend(this.#now(), Math.max(1, claims.length));
    const named = claims.map(({ signer, publicKey, bytes, signature }) => {
      return { signer, publicKey, bytes, signature, name: nameOf({ publicKey, bytes, signature }) };
    });
    const unknown = named.filter((claim) => !this.#isKnown(claim));
    this.counters.known += claims.length - unknown.length;
    if (sender.queue.length === 0 && unknown.length === 0) return done();
    const cost = Math.max(1, unknown.length);
    // One message alone is always looked at, however much it takes.
    if (sender.queue.length > 0 && sender.waitingCount + cost > this.#parts.settings.waitingCountMax) {
      this.counters.queueFull += 1;
      return;
    }
    sender.queue.push({ claims: unknown, looked: 0, isWrong: false, cost, done });
    sender.waitingCount += cost;
    this.#line(sender);
    this.#takeTurns();
  }

  #line(sender: Sender): void {
    if (sender.isInTurn || sender.queue.length === 0) return;
    const isReplica = this.#replicas.get(sender.name) === sender;
    (isReplica ? this.#replicaLine : this.#clientLine).add(sender);
  }

  #takeTurns(): void {
    while (this.#underWayCount < this.#parts.settings.underWayCountMax) {
      const sender = this.#nextSender();
      if (sender === undefined) return;
      this.#takeTurn(sender);
    }
  }

  /** A replica and a client in turns, as far as both wait. */
  #nextSender(): Sender | undefined {
    const isClients = this.#replicaLine.size === 0 || (this.#isClientsTurn && this.#clientLine.size > 0);
    const line = isClients ? this.#clientLine : this.#replicaLine;
    const [sender] = line;
    if (sender !== undefined) line.delete(sender);
    this.#isClientsTurn = !isClients;
    return sender;
  }

  #takeTurn(sender: Sender): void {
    const { verifier } = this.#parts;
    const turn = this.#nextClaims(sender);
    if (turn.length === 0) return this.#settle(sender);
    sender.isInTurn = true;
    this.#underWayCount += turn.length;
    this.counters.signatures += turn.length;
    verifier.verify(
      turn.map(({ publicKey, bytes, signature }) => ({ publicKey, bytes, signature })),
      (results) => {
        sender.isInTurn = false;
        this.#underWayCount -= turn.length;
        for (const [at, claim] of turn.entries()) {
          if (results[at] === true) this.#known.add(claim.signer, claim, claim.name);
          else claim.waiting.isWrong = true;
        }
        this.#settle(sender);
        this.#takeTurns();
      },
    );
  }

  /** Of one message or of several, in their order; without those that others brought meanwhile. */
  #nextClaims({ queue }: Sender): readonly (NamedClaim & { readonly waiting: Waiting })[] {
    const { turnCountMax } = this.#parts.settings;
    const turn: (NamedClaim & { readonly waiting: Waiting })[] = [];
    for (const waiting of queue) {
      for (; waiting.looked < waiting.claims.length; waiting.looked += 1) {
        const each = waiting.claims[waiting.looked];
        if (each === undefined || this.#isKnown(each)) continue;
        if (turn.length >= turnCountMax) return turn;
        turn.push({ ...each, waiting });
      }
    }
    return turn;
  }

  /** Answers from the head of the queue on whatever needs nothing more. No turn of the sender is under way. */
  #settle(sender: Sender): void {
    const good: Waiting[] = [];
    for (let head = sender.queue[0]; head !== undefined; head = sender.queue[0]) {
      if (!head.isWrong && head.looked < head.claims.length) break;
      sender.queue.shift();
      sender.waitingCount -= head.cost;
      if (head.isWrong) this.#refuse(sender);
      else good.push(head);
    }
    this.#line(sender);
    for (const { done } of good) done();
  }

  #refuse(sender: Sender): void {
    this.counters.wronglySigned += 1;
    sender.credit.spend(this.#now());
    if (sender.credit.hasSome(this.#now())) return;
    this.counters.overBudget += sender.queue.length;
    sender.queue.length = 0;
    sender.waitingCount = 0;
  }

  #isKnown(claim: NamedClaim): boolean {
    return this.#known.has(claim.signer, claim, claim.name);
  }

  #newSender(name: string): Sender {
    const { settings } = this.#parts;
    const now = this.#now();
    const [credit, work] = [new Credit(settings.credit, now), new Credit(settings.work, now)];
    return { name, credit, work, queue: [], waitingCount: 0, isInTurn: false };
  }

  #now(): number {
    return this.#parts.clock.monotonic();
  }
}
