/**
 * One connection as a link: handshake first, then typed messages, gathered per turn.
 *
 * Owns: the states of a connection (hello, ready, closed), its frame limits and its handshake deadline. Leaves to others: whom to
 * let in (the `gate` that the owner gives), when to dial again (`transport/dialer.ts`), what messages mean. Used by replicas
 * and clients on both ends.
 *
 *     dialer    ──Hello──▶   acceptor
 *               ◀─Welcome──  (or Refused, then closed)
 *               ──Refused──▶ (only if the Welcome is not taken; then closed)
 *               ───Proof───▶ (only where replicas prove who they are; a Refused may come back, then closed)
 *               ◀─messages─▶
 *
 * Invariant T1: no message is given out before the handshake ended well, and none after `closed`.
 */
import type { ByteWriter } from "../base/bytes.js";
import type { Clock } from "../ports/clock.js";
import type { Hash } from "../ports/hash.js";
import type { Connection, ConnectionHandlers } from "../ports/network.js";
import { FrameReader, FrameWriter, type Message } from "../wire/frame.js";
import { decodeHandshake, encodeHandshake, type Hello, type Refused, type Welcome } from "../wire/handshake.js";

/** The type of handshake messages; owners number theirs from 1. */
const handshakeType = 0;
const handshakeBytesMax = 16_384;

export interface LinkLimits {
  readonly frameBytesMax: number;
  readonly handshakeMs: number;
}

export interface LinkWorld {
  readonly clock: Clock;
  readonly hash: Hash;
}

export interface Refusal extends Refused {
  /** This side refused the other. */
  readonly isOurs: boolean;
}

export interface LinkHandlers {
  /** The other side is who it should be; messages may be sent from now on. */
  ready(link: Link, peer: Hello | Welcome): void;
  message(link: Link, type: number, payload: Uint8Array): void;
  /** Bytes came, and no message is whole by them. */
  arriving?(link: Link): void;
  /** Called once. `refusal` tells that the other side or we said no in the handshake. */
  closed(link: Link, cause: string, refusal: Refusal | undefined): void;
  /** The send queue has run empty after it was long. */
  drained(link: Link): void;
}

/** How a handshake is begun (by a dialer) or answered (by an acceptor). An objection that is a text is not told to the other side. */
export type LinkOpening =
  | {
      readonly side: "dialer";
      readonly hello: Hello;
      readonly accept: (welcome: Welcome) => Refused | string | undefined;
      /** Made for a Welcome that was accepted, where replicas prove who they are. */
      readonly proof?: ((welcome: Welcome) => Uint8Array) | undefined;
    }
  | {
      readonly side: "acceptor";
      readonly gate: (hello: Hello) => Welcome | Refused;
      /** An objection to the Proof; without it none is waited for. */
      readonly proven?: ((signature: Uint8Array, hello: Hello, welcome: Welcome) => Refused | undefined) | undefined;
    };

export class Link {
  readonly #world: LinkWorld;
  readonly #limits: LinkLimits;
  readonly #opening: LinkOpening;
  readonly #handlers: LinkHandlers;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  #connection: Connection | undefined;
  #state: "hello" | "proof" | "ready" | "closed" = "hello";
  /** The acceptor's, while it waits for the Proof. */
  #unproven: { readonly hello: Hello; readonly welcome: Welcome } | undefined;
  #flushDue = false;
  #hasGiven = false;
  #refusal: Refusal | undefined;
  #cancelDeadline: () => void;
  bytesReceived = 0;
  bytesSent = 0;

  constructor(world: LinkWorld, limits: LinkLimits, opening: LinkOpening, handlers: LinkHandlers) {
    this.#world = world;
    this.#limits = limits;
    this.#opening = opening;
    this.#handlers = handlers;
    this.#reader = new FrameReader(world.hash, { frameBytesMax: handshakeBytesMax });
    this.#writer = new FrameWriter(world.hash);
    this.#cancelDeadline = world.clock.after(limits.handshakeMs, () => {
      this.#break(`no handshake within ${limits.handshakeMs} ms`);
    });
  }

  /** Joins the link to its connection; the result is given to the network port. */
  attach(connect: (handlers: ConnectionHandlers) => Connection): void {
    this.#connection = connect({
      opened: () => this.#onOpened(),
      received: (bytes) => this.#onReceived(bytes),
      drained: () => this.#handlers.drained(this),
      closed: (cause) => this.#onClosed(cause),
    });
  }

  get isReady(): boolean {
    return this.#state === "ready";
  }

  /** Bytes that wait to leave: gathered and queued. */
  get bufferedBytes(): number {
    return this.#writer.bodyBytes + (this.#connection?.bufferedBytes ?? 0);
  }

  /** Leaves with everything else of this turn; dropped unless the link is ready. */
  send(type: number, payload: Uint8Array): void {
    if (!this.#hasRoomFor(payload.length)) return;
    this.#writer.add(type, payload);
    this.#flushLater();
  }

  /** The same of what `write` makes: something short. */
  sendWritten<Thing>(type: number, thing: Thing, write: (writer: ByteWriter, thing: Thing) => void): void {
    if (!this.#hasRoomFor(0)) return;
    this.#writer.addWritten(type, thing, write);
    this.#flushLater();
  }

  /** False: nothing may be sent. */
  #hasRoomFor(bytes: number): boolean {
    if (this.#state !== "ready") return false;
    if (!this.#writer.isEmpty && this.#writer.bodyBytes + bytes > this.#limits.frameBytesMax / 2) this.#flush();
    return true;
  }

  #flushLater(): void {
    if (this.#flushDue) return;
    this.#flushDue = true;
    this.#world.clock.atTurnEnd(this.#flushAtTurnEnd);
  }

  readonly #flushAtTurnEnd = (): void => {
    this.#flushDue = false;
    this.#flush();
  };

  pauseReading(): void {
    this.#connection?.pauseReading();
  }

  resumeReading(): void {
    this.#connection?.resumeReading();
  }

  close(reason: "done" | "broken"): void {
    if (this.#state === "closed") return;
    if (reason === "done") this.#flush();
    this.#connection?.close(reason);
  }

  #onOpened(): void {
    if (this.#opening.side === "dialer") this.#sendHandshake(encodeHandshake(this.#opening.hello));
  }

  #onReceived(bytes: Uint8Array): void {
    if (this.#state === "closed") return;
    this.bytesReceived += bytes.length;
    this.#hasGiven = false;
    const failure = this.#reader.push(bytes, this.#give);
    if (failure === undefined) {
      if (!this.#hasGiven && this.#state === "ready") this.#handlers.arriving?.(this);
      return;
    }
    this.#break(this.#state === "hello" ? `${failure}: the other side speaks another protocol` : failure);
  }

  readonly #give = (message: Message): void => {
    this.#hasGiven = true;
    this.#onMessage(message);
  };

  #onMessage({ type, payload }: Message): void {
    if (this.#state === "ready" && type !== handshakeType) return this.#handlers.message(this, type, payload);
    // Whoever was refused may not try again over the same connection, which is being closed.
    if (this.#refusal !== undefined) return;
    if (this.#state === "hello" && type === handshakeType) return this.#onHandshake(payload);
    if (this.#state === "proof" && type === handshakeType) return this.#onProof(payload);
    if (type === handshakeType) return this.#onObjection(payload);
    // Closed while this frame was being taken apart: the rest of it is dropped.
    if (this.#state !== "closed") this.#break("message out of place");
  }

  #onHandshake(payload: Uint8Array): void {
    const message = decodeHandshake(payload);
    if (message === undefined) return this.#break("malformed handshake");
    const opening = this.#opening;
    if (opening.side === "acceptor") {
      if (message.kind !== "hello") return this.#break("malformed handshake");
      const answer = opening.gate(message);
      this.#sendHandshake(encodeHandshake(answer));
      if (answer.kind === "refused") return this.#refuse(answer);
      if (opening.proven === undefined) return this.#becomeReady(message);
      this.#unproven = { hello: message, welcome: answer };
      this.#state = "proof";
      return;
    }
    if (message.kind === "hello" || message.kind === "proof") return this.#break("malformed handshake");
    if (message.kind === "refused") {
      this.#refusal = { ...message, isOurs: false };
      return this.#break(message.message);
    }
    const objection = opening.accept(message);
    if (objection === undefined) {
      if (opening.proof !== undefined) {
        this.#sendHandshake(encodeHandshake({ kind: "proof", signature: opening.proof(message) }));
      }
      return this.#becomeReady(message);
    }
    if (typeof objection === "string") return this.#break(objection);
    this.#refusal = { ...objection, isOurs: true };
    this.#sendHandshake(encodeHandshake(objection));
    this.#connection?.close("done");
    this.#onClosed(objection.message);
  }

  #onProof(payload: Uint8Array): void {
    const message = decodeHandshake(payload);
    const { hello, welcome } = this.#unproven ?? {};
    if (this.#opening.side !== "acceptor" || hello === undefined || welcome === undefined) return;
    if (message?.kind !== "proof") return this.#onObjection(payload);
    const objection = this.#opening.proven?.(message.signature, hello, welcome);
    if (objection === undefined) return this.#becomeReady(hello);
    this.#sendHandshake(encodeHandshake(objection));
    this.#refuse(objection);
  }

  /** It was told: the connection ends behind that. */
  #refuse(refused: Refused): void {
    this.#refusal = { ...refused, isOurs: true };
    this.#connection?.close("done");
  }

  /** The dialer does not take our Welcome, or the acceptor not our Proof. */
  #onObjection(payload: Uint8Array): void {
    const message = decodeHandshake(payload);
    if (message?.kind === "refused") this.#refusal = { ...message, isOurs: false };
    this.#break("message out of place");
  }

  #becomeReady(peer: Hello | Welcome): void {
    this.#state = "ready";
    this.#cancelDeadline();
    this.#reader.allow(this.#limits);
    this.#handlers.ready(this, peer);
  }

  #sendHandshake(payload: Uint8Array): void {
    this.#writer.add(handshakeType, payload);
    this.#flush();
  }

  #flush(): void {
    if (this.#writer.isEmpty || this.#state === "closed") return;
    const frame = this.#writer.finish();
    this.bytesSent += frame.length;
    this.#connection?.send(frame);
  }

  #break(cause: string): void {
    if (this.#state === "closed") return;
    this.#connection?.close("broken");
    this.#onClosed(cause);
  }

  #onClosed(cause: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#cancelDeadline();
    this.#handlers.closed(this, this.#refusal?.message ?? cause, this.#refusal);
  }
}
