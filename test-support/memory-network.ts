/** Byte streams between parties of one test: in order, delivered at turn ends, cut or silenced on demand. */
import type { Connection, ConnectionHandlers, Network } from "../src/ports/network.js";
import type { ManualClock } from "./manual-clock.js";

type Accept = (connect: (handlers: ConnectionHandlers) => Connection) => void;

export class MemoryNetwork implements Network {
  readonly #clock: ManualClock;
  readonly #listeners = new Map<string, Accept>();
  readonly pairs: Pair[] = [];
  /** Cuts every chunk into pieces of at most this many bytes. */
  chunkBytes = Infinity;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  listen(address: string, accept: Accept): void {
    this.#listeners.set(address, accept);
  }

  unlisten(address: string): void {
    this.#listeners.delete(address);
  }

  connect(address: string, handlers: ConnectionHandlers): Connection {
    const pair = new Pair(this.#clock, () => this.chunkBytes);
    const near = pair.end(0, handlers);
    this.#clock.atTurnEnd(() => {
      const accept = this.#listeners.get(address);
      if (accept === undefined) return pair.cut("connection refused");
      this.pairs.push(pair);
      accept((far) => pair.end(1, far));
      handlers.opened();
    });
    return near;
  }
}

/** The two ends of one connection. */
export class Pair {
  readonly #clock: ManualClock;
  readonly #chunkBytes: () => number;
  readonly #handlers: (ConnectionHandlers | undefined)[] = [undefined, undefined];
  #isOpen = true;
  /** Bytes sent by end 0 and by end 1 so far, as seen on the wire. */
  readonly wire: Uint8Array[][] = [[], []];
  /** Drops everything, and tells nobody. */
  isSilent = false;
  /** Changes bytes on their way from one of the ends. */
  tamper: (bytes: Uint8Array, from: 0 | 1) => Uint8Array = (bytes) => bytes;

  constructor(clock: ManualClock, chunkBytes: () => number) {
    this.#clock = clock;
    this.#chunkBytes = chunkBytes;
  }

  end(side: 0 | 1, handlers: ConnectionHandlers): Connection {
    this.#handlers[side] = handlers;
    return {
      bufferedBytes: 0,
      send: (bytes) => this.deliver(side, this.tamper(bytes, side)),
      pauseReading: () => {},
      resumeReading: () => {},
      close: () => this.cut("closed by the other side"),
    };
  }

  /** Bytes arrive at the other side of `from` in a later step of the turn. */
  deliver(from: 0 | 1, bytes: Uint8Array): void {
    if (!this.#isOpen || this.isSilent) return;
    this.wire[from]?.push(bytes);
    const step = this.#chunkBytes();
    for (let at = 0; at < bytes.length; at += step) {
      const chunk = bytes.subarray(at, Math.min(bytes.length, at + step));
      this.#clock.atTurnEnd(() => {
        if (this.#isOpen) this.#handlers[1 - from]?.received(chunk);
      });
    }
  }

  cut(cause: string): void {
    if (!this.#isOpen) return;
    this.#clock.atTurnEnd(() => {
      if (!this.#isOpen) return;
      this.#isOpen = false;
      for (const handlers of this.#handlers) handlers?.closed(cause);
    });
  }
}
