/**
 * The links between replicas: one per pair, dialed by the one whose id sorts first.
 *
 * Owns: which link speaks for which peer. Leaves to others: what is said (`replica/engine.ts`). Two processes that speak under one id
 * are never both heard (hazard M10): while the link of the first is open and was heard from lately, the second is refused.
 * A link on which nothing comes any more is given up and dialed again, because TCP alone may take minutes to notice a network that
 * drops packets, and as long to go on when it no longer does.
 */
import { randomStream } from "../base/random.js";
import type { ReplicaId } from "../model/ids.js";
import type { Membership } from "../model/membership.js";
import type { Clock } from "../ports/clock.js";
import type { Hash } from "../ports/hash.js";
import type { Connection, ConnectionHandlers, Network } from "../ports/network.js";
import type { Hello, Refused, Welcome } from "../wire/handshake.js";
import { Dialer } from "./dialer.js";
import { checkReplicaHello, checkWelcome, helloTo, refused, welcomeFrom, type Identity } from "./gate.js";
import { Link, type LinkLimits } from "./link.js";

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
  readonly membership: Membership;
  readonly connected: (peer: ReplicaId) => void;
  readonly disconnected: (peer: ReplicaId, cause: string) => void;
  readonly message: (peer: ReplicaId, type: number, payload: Uint8Array) => void;
  /** Something was refused or dropped, with its reason: counted and logged by the owner. */
  readonly dropped: (reason: string, detail: string) => void;
}

interface PeerLink {
  readonly link: Link;
  readonly process: string;
  heardAt: number;
}

/** Says nothing but that the sender is there. */
const aliveType = 255;
const nothing = new Uint8Array(0);

export class Peers {
  readonly #options: PeersOptions;
  readonly #open = new Map<ReplicaId, PeerLink>();
  readonly #dialers: Dialer[] = [];
  /** Accepted, not yet through the handshake. */
  readonly #waiting = new Set<Link>();
  #cancelCheck: () => void = () => {};

  constructor(options: PeersOptions) {
    this.#options = options;
    const { membership, self } = options;
    for (const { id, peer } of membership.members) if (self.id < id) this.#dial(id, peer);
    this.#scheduleCheck();
  }

  isConnected(peer: ReplicaId): boolean {
    return this.#open.has(peer);
  }

  send(peer: ReplicaId, type: number, payload: Uint8Array): void {
    this.#open.get(peer)?.link.send(type, payload);
  }

  /** Sent and received since start, over links that are open now. */
  traffic(): { readonly sent: number; readonly received: number } {
    const total = { sent: 0, received: 0 };
    for (const { link } of this.#open.values()) {
      total.sent += link.bytesSent;
      total.received += link.bytesReceived;
    }
    return total;
  }

  accept(connect: (handlers: ConnectionHandlers) => Connection): void {
    const { clock, hash, limits, dropped } = this.#options;
    let peer: ReplicaId | undefined;
    const link = new Link(
      { clock, hash },
      limits,
      { side: "acceptor", gate: (hello) => this.#gate(hello) },
      {
        ready: (ready, hello) => {
          this.#waiting.delete(ready);
          peer = hello.from;
          this.#adopt(hello.from, hello.process, ready);
        },
        message: (from, type, payload) => this.#heard(peer, from, type, payload),
        drained: () => {},
        closed: (closed, cause, refusal) => {
          this.#waiting.delete(closed);
          if (peer === undefined) dropped(refusal?.code ?? "handshake", cause);
          else this.#lose(peer, closed, cause);
        },
      },
    );
    this.#waiting.add(link);
    link.attach(connect);
  }

  stop(): void {
    this.#cancelCheck();
    for (const dialer of this.#dialers) dialer.stop();
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
    });
  }

  #dial(peer: ReplicaId, address: string): void {
    const { network, clock, hash, limits, retryMsMin, retryMsMax, seed, self, membership, dropped } = this.#options;
    let open: Link | undefined;
    const dialer = new Dialer({
      network,
      clock,
      hash,
      limits,
      address,
      retryMsMin,
      retryMsMax,
      random: randomStream(seed, `dial ${peer}`),
      hello: () => helloTo(peer, self),
      accept: (welcome) => checkWelcome(welcome, peer, self, membership),
      ready: (link, welcome) => {
        open = link;
        this.#adopt(peer, welcome.process, link);
      },
      message: (link, type, payload) => this.#heard(peer, link, type, payload),
      closed: (cause, refusal) => {
        if (refusal !== undefined) dropped(refusal.code, refusal.message);
        if (open !== undefined) this.#lose(peer, open, cause);
        open = undefined;
      },
    });
    this.#dialers.push(dialer);
  }

  #gate(hello: Hello): Welcome | Refused {
    const { self, membership, clock, silentMs } = this.#options;
    const objection = checkReplicaHello(hello, self, membership);
    if (objection !== undefined) return objection;
    const present = this.#open.get(hello.from);
    if (present !== undefined && present.process !== hello.process && clock.monotonic() - present.heardAt < silentMs) {
      return refused("IDENTITY_IN_USE", `Another process speaks as replica ${hello.from} now.`);
    }
    return welcomeFrom(self);
  }

  #adopt(peer: ReplicaId, process: string, link: Link): void {
    const present = this.#open.get(peer);
    this.#open.set(peer, { link, process, heardAt: this.#options.clock.monotonic() });
    if (present !== undefined) {
      this.#options.disconnected(peer, "replaced by a newer connection");
      present.link.close("broken");
    }
    this.#options.connected(peer);
  }

  #heard(peer: ReplicaId | undefined, from: Link, type: number, payload: Uint8Array): void {
    if (peer === undefined) return;
    const open = this.#open.get(peer);
    // A link that was replaced may still deliver what it had received: it no longer speaks for the peer.
    if (open?.link !== from) return;
    open.heardAt = this.#options.clock.monotonic();
    if (type !== aliveType) this.#options.message(peer, type, payload);
  }

  #lose(peer: ReplicaId, link: Link, cause: string): void {
    if (this.#open.get(peer)?.link !== link) return;
    this.#open.delete(peer);
    this.#options.disconnected(peer, cause);
  }
}
