/**
 * The links between replicas: one per pair, dialed by the one whose id sorts first; by the other too when it has waited in vain.
 *
 * Owns: which link speaks for which peer, and dialing those who are members now. Leaves to others: what is said (`replica/engine.ts`). Two processes that speak under one id
 * are never both heard (hazard M10): while the link of the first is open and was heard from lately, the second is refused.
 * A link on which nothing comes any more is given up and dialed again, because TCP alone may take minutes to notice a network that
 * drops packets, and as long to go on when it no longer does.
 *
 * Who is called may not know the caller: a replica that was away while members changed is reached by a leader that was added since, and one
 * that was removed while it was away calls to be told so (hazard E12). Of two calls that cross, that of the first id stays.
 */
import { randomStream } from "../base/random.js";
import type { ReplicaId } from "../model/ids.js";
import type { Member } from "../model/membership.js";
import type { Clock } from "../ports/clock.js";
import type { Hash } from "../ports/hash.js";
import type { Connection, ConnectionHandlers, Network } from "../ports/network.js";
import type { Hello, Refused, Welcome } from "../wire/handshake.js";
import { Dialer } from "./dialer.js";
import {
  checkDisk,
  checkReplicaHello,
  checkWelcome,
  helloTo,
  mayBe,
  refused,
  welcomeFrom,
  type Identity,
  type Life,
  type Standing,
} from "./gate.js";
import { objectionToProof, objectionToWelcome, proofOf, provenWelcome, type LinkProofs } from "./link-proofs.js";
import { Link, type LinkLimits, type Refusal } from "./link.js";

export interface PeersOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly hash: Hash;
  readonly seed: number;
  readonly limits: LinkLimits;
  readonly retryMsMin: number;
  readonly retryMsMax: number;
  /** A link that is silent for so long is broken; something is sent on each three times as often. */
  readonly linkSilenceMsMax: number;
  /** An accepted link replaces one of another process only if that was silent for so long. */
  readonly silentMs: number;
  readonly self: Identity;
  /** Heard by earlier processes of this replica. */
  readonly lives: Iterable<readonly [ReplicaId, Life]>;
  readonly standing: () => Standing;
  /** Without it every replica is believed to be who it says. */
  readonly proofs?: LinkProofs | undefined;
  readonly connected: (peer: ReplicaId, incarnation: number) => void;
  readonly disconnected: (peer: ReplicaId, cause: string) => void;
  readonly message: (peer: ReplicaId, type: number, payload: Uint8Array) => void;
  /** A part of a message came: the peer is there, however long the rest of it takes. */
  readonly arriving: (peer: ReplicaId) => void;
  /** This replica's disk has forgotten something, as a peer remembers: it must neither vote nor acknowledge any more. */
  readonly disowned: (reason: string) => void;
  /** Something was refused or dropped, with its reason: counted and logged by the owner. */
  readonly dropped: (reason: string, detail: string) => void;
}

/** Bytes over the links that are open now. */
export interface PeerTraffic {
  readonly sent: number;
  readonly received: number;
  /** Waiting in this process, by peer. */
  readonly queued: ReadonlyMap<ReplicaId, number>;
}

interface PeerLink {
  readonly link: Link;
  readonly process: string;
  readonly incarnation: number;
  heardAt: number;
}

/** Says nothing but that the sender is there. */
const aliveType = 255;
const nothing = new Uint8Array(0);

export class Peers {
  readonly #options: PeersOptions;
  readonly #open = new Map<ReplicaId, PeerLink>();
  readonly #lives: Map<ReplicaId, Life>;
  readonly #dialers = new Map<ReplicaId, { readonly address: string; readonly dialer: Dialer }>();
  /** Members no longer, since when: their links stay open for a while, so that they can be told. */
  readonly #leaving = new Map<ReplicaId, number>();
  /** Members whose ids sort before this one's, so that they should call. */
  #callers: readonly Member[] = [];
  /** Since when a caller has been away; it counts only while there is no link. */
  readonly #awaySince = new Map<ReplicaId, number>();
  /** Accepted, not yet through the handshake. */
  readonly #waiting = new Set<Link>();
  #cancelCheck: () => void = () => {};

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#lives = new Map(options.lives);
    this.#scheduleCheck();
  }

  /** These and no others are to be linked with: called at the start and whenever the members change. */
  reach(members: readonly Member[]): void {
    const { self, clock } = this.#options;
    for (const { id, peer } of members) {
      this.#leaving.delete(id);
      if (self.id === id || this.#dialers.get(id)?.address === peer) continue;
      this.#stopDialing(id);
      if (self.id < id) this.#startDialing(id, peer);
      else if (!this.#awaySince.has(id)) this.#awaySince.set(id, clock.monotonic());
    }
    this.#callers = members.filter(({ id }) => id < self.id);
    for (const id of new Set([...this.#dialers.keys(), ...this.#open.keys()])) {
      const member = members.find((each) => each.id === id);
      const open = this.#open.get(id);
      if (member === undefined && !this.#leaving.has(id)) this.#leaving.set(id, clock.monotonic());
      // The data directory behind this link was replaced.
      const isOther = open !== undefined && !mayBe(this.#options.standing().membership, id, open.incarnation);
      if (member !== undefined && isOther) open.link.close("broken");
    }
  }

  /** Members, and whoever a replica that joins was told of. */
  get connected(): readonly ReplicaId[] {
    return [...this.#open.keys()];
  }

  /** The last life of each peer that was ever heard. */
  get lives(): ReadonlyMap<ReplicaId, Life> {
    return this.#lives;
  }

  isConnected(peer: ReplicaId): boolean {
    return this.#open.has(peer);
  }

  send(peer: ReplicaId, type: number, payload: Uint8Array): void {
    this.#open.get(peer)?.link.send(type, payload);
  }

  traffic(): PeerTraffic {
    const total = { sent: 0, received: 0, queued: new Map<ReplicaId, number>() };
    for (const [peer, { link }] of this.#open) {
      total.sent += link.bytesSent;
      total.received += link.bytesReceived;
      total.queued.set(peer, link.bufferedBytes);
    }
    return total;
  }

  accept(connect: (handlers: ConnectionHandlers) => Connection): void {
    const { clock, hash, limits, dropped } = this.#options;
    let peer: ReplicaId | undefined;
    const link = new Link(
      { clock, hash },
      limits,
      { side: "acceptor", gate: (hello) => this.#gate(hello), proven: this.#proven() },
      {
        ready: (ready, hello) => {
          this.#waiting.delete(ready);
          peer = hello.from;
          this.#adopt(hello, ready);
          // It calls again: so it need not be called.
          if (peer < this.#options.self.id) this.#stopDialing(peer);
        },
        message: (from, type, payload) => this.#heard(peer, from, type, payload),
        arriving: (from) => this.#arriving(peer, from),
        drained: () => {},
        closed: (closed, cause, refusal) => {
          this.#waiting.delete(closed);
          if (peer === undefined || refusal !== undefined) dropped(refusal?.code ?? "handshake", cause);
          if (peer !== undefined) this.#lose(peer, closed, cause);
          this.#heed(refusal);
        },
      },
    );
    this.#waiting.add(link);
    link.attach(connect);
  }

  stop(): void {
    this.#cancelCheck();
    for (const { dialer } of this.#dialers.values()) dialer.stop();
    for (const { link } of this.#open.values()) link.close("done");
    for (const link of this.#waiting) link.close("broken");
  }

  #scheduleCheck(): void {
    const { clock, linkSilenceMsMax } = this.#options;
    this.#cancelCheck = clock.after(linkSilenceMsMax / 3, () => {
      this.#scheduleCheck();
      const limit = clock.monotonic() - linkSilenceMsMax;
      for (const { link, heardAt } of [...this.#open.values()]) {
        if (heardAt < limit) link.close("broken");
        else link.send(aliveType, nothing);
      }
      for (const { id, peer } of this.#callers) {
        const isAway = !this.#open.has(id) && (this.#awaySince.get(id) ?? 0) < limit;
        if (isAway && !this.#dialers.has(id)) this.#startDialing(id, peer);
      }
      for (const [id, since] of this.#leaving) if (since < limit) this.#leave(id);
    });
  }

  #leave(id: ReplicaId): void {
    this.#leaving.delete(id);
    this.#awaySince.delete(id);
    this.#stopDialing(id);
    this.#open.get(id)?.link.close("done");
  }

  #startDialing(id: ReplicaId, address: string): void {
    this.#dialers.set(id, { address, dialer: this.#dial(id, address) });
  }

  #stopDialing(id: ReplicaId): void {
    this.#dialers.get(id)?.dialer.stop();
    this.#dialers.delete(id);
  }

  #dial(peer: ReplicaId, address: string): Dialer {
    const { network, clock, hash, limits, retryMsMin, retryMsMax, seed, self, standing, dropped } = this.#options;
    const { proofs } = this.#options;
    let open: Link | undefined;
    let said: Hello | undefined;
    return new Dialer({
      network,
      clock,
      hash,
      limits,
      address,
      retryMsMin,
      retryMsMax,
      random: randomStream(seed, `dial ${peer}`),
      hello: () => {
        const hello = helloTo(peer, self, standing().configuration);
        said = proofs === undefined ? hello : { ...hello, credential: proofs.challenge() };
        return said;
      },
      accept: (welcome) =>
        checkWelcome(welcome, peer, self, standing()) ??
        objectionToWelcome(proofs, said, welcome) ??
        this.#checkDisk(welcome),
      proof: proofs && ((welcome) => proofOf(proofs, said, welcome)),
      ready: (link, welcome) => {
        open = link;
        this.#adopt(welcome, link);
      },
      message: (link, type, payload) => this.#heard(peer, link, type, payload),
      arriving: (link) => this.#arriving(peer, link),
      closed: (cause, refusal) => {
        if (refusal !== undefined) dropped(refusal.code, refusal.message);
        if (open !== undefined) this.#lose(peer, open, cause);
        open = undefined;
        this.#heed(refusal);
      },
    });
  }

  #gate(hello: Hello): Welcome | Refused {
    const { proofs } = this.#options;
    const answer = this.#admit(hello);
    return proofs === undefined || answer.kind === "refused" ? answer : provenWelcome(proofs, hello, answer);
  }

  #admit(hello: Hello): Welcome | Refused {
    const { self, standing, clock, silentMs } = this.#options;
    const objection = checkReplicaHello(hello, self, standing()) ?? this.#checkDisk(hello);
    if (objection !== undefined) return objection;
    const present = this.#open.get(hello.from);
    if (present !== undefined && present.process !== hello.process && clock.monotonic() - present.heardAt < silentMs) {
      return refused("IDENTITY_IN_USE", `Another process speaks as replica ${hello.from} now.`);
    }
    return welcomeFrom(self, standing().configuration);
  }

  /** Who proves who it is may have been overtaken by another process meanwhile. */
  #proven(): ((signature: Uint8Array, hello: Hello, welcome: Welcome) => Refused | undefined) | undefined {
    const { proofs } = this.#options;
    if (proofs === undefined) return undefined;
    return (signature, hello, welcome) => {
      const objection = objectionToProof(proofs, signature, { hello, welcome });
      const answer = objection ?? this.#admit(hello);
      return answer.kind === "refused" ? answer : undefined;
    };
  }

  #checkDisk(spoken: Hello | Welcome): Refused | undefined {
    return checkDisk(spoken, this.#lives.get(spoken.from), this.#options.standing().promisedBy(spoken.from));
  }

  /** A peer remembers more of this replica than it does itself. */
  #heed(refusal: Refusal | undefined): void {
    if (refusal?.code === "OLD_DISK" && !refusal.isOurs) this.#options.disowned(refusal.message);
  }

  #adopt({ from: peer, process, incarnation, found }: Hello | Welcome, link: Link): void {
    const present = this.#open.get(peer);
    // A start that could not be counted leaves the count where it was.
    const known = this.#lives.get(peer);
    const starts = known?.incarnation === incarnation ? Math.max(known.starts, found.starts) : found.starts;
    this.#lives.set(peer, { incarnation, process, starts });
    this.#open.set(peer, { link, process, incarnation, heardAt: this.#options.clock.monotonic() });
    if (present !== undefined) {
      this.#options.disconnected(peer, "replaced by a newer connection");
      present.link.close("broken");
    }
    this.#options.connected(peer, incarnation);
  }

  #heard(peer: ReplicaId | undefined, from: Link, type: number, payload: Uint8Array): void {
    if (peer === undefined) return;
    const open = this.#open.get(peer);
    // A link that was replaced may still deliver what it had received: it no longer speaks for the peer.
    if (open?.link !== from) return;
    open.heardAt = this.#options.clock.monotonic();
    if (type !== aliveType) this.#options.message(peer, type, payload);
  }

  #arriving(peer: ReplicaId | undefined, from: Link): void {
    const open = peer === undefined ? undefined : this.#open.get(peer);
    if (peer === undefined || open?.link !== from) return;
    open.heardAt = this.#options.clock.monotonic();
    this.#options.arriving(peer);
  }

  #lose(peer: ReplicaId, link: Link, cause: string): void {
    if (this.#open.get(peer)?.link !== link) return;
    this.#open.delete(peer);
    this.#awaySince.set(peer, this.#options.clock.monotonic());
    this.#options.disconnected(peer, cause);
  }
}
