/**
 * A simulated connection: its two ends, each with the `Connection` port for the process that holds it.
 *
 * Owns: the states of an end (opening, open, ending, closed, gone), which handler is called when, and in which process. Leaves to
 * others: how bytes get across (`sim-stream.ts`), dialing, listening and faults of hosts (`sim-network.ts`, which calls it).
 *
 * Two things are told apart: an end is *closed* once its process was told so, and *gone* once its host knows nothing of it any more.
 * An end that was closed after an orderly farewell stays until the other side has everything.
 */
import type { Connection, ConnectionHandlers } from "../ports/network.js";
import type { SimProcess } from "./process.js";
import { SimStream, type StreamEnd, type StreamWorld } from "./sim-stream.js";
import type { Path } from "./network-paths.js";

export interface SimHost {
  readonly name: string;
  isUp: boolean;
}

export interface Dialer {
  readonly process: SimProcess;
  readonly host: SimHost;
  readonly handlers: ConnectionHandlers;
}

/** How a listener takes a connection: it calls `connect` before it returns. */
export type Accept = (connect: (handlers: ConnectionHandlers) => Connection) => void;

const closedHere = "closed by this side";
const closedThere = "closed by the other side";
const resetThere = "reset by the other side";
const timedOut = "timed out";

export class SimConnection {
  readonly dialer: SimEnd;
  acceptor: SimEnd | undefined;
  /** `host:port` that was dialed. */
  readonly address: string;
  readonly target: SimHost;
  readonly #world: StreamWorld;
  readonly #toAcceptor: SimStream;
  readonly #toDialer: SimStream;
  readonly #over: (connection: SimConnection) => void;

  /** `over` is told when neither host knows of it any more. */
  constructor(
    world: StreamWorld,
    dialer: Dialer,
    target: { readonly address: string; readonly host: SimHost; readonly path: Path; readonly back: Path },
    over: (connection: SimConnection) => void,
  ) {
    const { path, back } = target;
    this.#world = world;
    this.address = target.address;
    this.target = target.host;
    this.#over = over;
    this.#toAcceptor = new SimStream(world, path, back);
    this.#toDialer = new SimStream(world, back, path);
    const streams = { out: this.#toAcceptor, in: this.#toDialer };
    this.dialer = new SimEnd(world, dialer, streams, () => this.#check());
    this.dialer.dialFor(dialer.handlers);
  }

  /** The first packet has reached the listener's host: that end exists, and its process hears of it as soon as it can. */
  accept(process: SimProcess, accept: Accept): void {
    const streams = { out: this.#toDialer, in: this.#toAcceptor };
    const acceptor = new SimEnd(this.#world, { process, host: this.target }, streams, () => this.#check());
    this.acceptor = acceptor;
    acceptor.answer(accept);
  }

  /** A fault: both ends are told that the other has reset it. */
  reset(): void {
    this.dialer.wasReset();
    this.acceptor?.wasReset();
  }

  /** Both processes have it, as far as they know. */
  get isOpen(): boolean {
    return !this.dialer.isClosed && this.acceptor !== undefined && !this.acceptor.isClosed;
  }

  get ends(): readonly SimEnd[] {
    return this.acceptor === undefined ? [this.dialer] : [this.dialer, this.acceptor];
  }

  describe(): string {
    const there = this.acceptor?.describe() ?? "nobody yet";
    return `${this.dialer.host.name} > ${this.address}: ${this.dialer.describe()} | ${there}`;
  }

  #check(): void {
    if (this.dialer.isFinished && (this.acceptor === undefined || this.acceptor.isFinished)) this.#over(this);
  }
}

class SimEnd implements Connection, StreamEnd {
  readonly process: SimProcess;
  readonly host: SimHost;
  readonly #world: StreamWorld;
  readonly #out: SimStream;
  readonly #in: SimStream;
  readonly #changed: () => void;
  #handlers: ConnectionHandlers | undefined;
  #isGone = false;
  #isClosed = false;
  #isEstablished = false;
  #isEnding = false;
  /** It ended the connection itself, and not because the other side did. */
  #endedFirst = false;
  #isReadingPaused = false;
  #isReadDue = false;

  /** `changed` is told when it may be finished. */
  constructor(
    world: StreamWorld,
    owner: { readonly process: SimProcess; readonly host: SimHost },
    streams: { readonly out: SimStream; readonly in: SimStream },
    changed: () => void,
  ) {
    this.#world = world;
    this.process = owner.process;
    this.host = owner.host;
    this.#out = streams.out;
    this.#in = streams.in;
    this.#out.sender = this;
    this.#in.receiver = this;
    this.#changed = changed;
  }

  dialFor(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
  }

  /** As an acceptor: its host answers at once, its process hears of it as soon as it can. */
  answer(accept: Accept): void {
    this.#isEstablished = true;
    this.#out.openWithAnswer();
    this.run(() => {
      accept((handlers) => {
        this.#handlers = handlers;
        return this;
      });
      // A listener that takes no notice of a connection does not want it.
      if (this.#handlers === undefined) this.close("broken");
      else this.#read();
    });
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Its process was told, or will be as soon as it runs, and hears nothing else any more. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Its host knows that the other host has it too. */
  get isEstablished(): boolean {
    return this.#isEstablished;
  }

  get isHostDown(): boolean {
    return !this.host.isUp;
  }

  /** Nothing of it is left in its host. */
  get isFinished(): boolean {
    return this.#isGone || (this.#isClosed && this.#in.hasEnd && this.#out.isSettled);
  }

  // The port, for the process.

  get bufferedBytes(): number {
    return this.#out.queuedBytes;
  }

  send(bytes: Uint8Array): void {
    this.#out.send(bytes);
  }

  pauseReading(): void {
    this.#isReadingPaused = true;
  }

  resumeReading(): void {
    if (!this.#isReadingPaused) return;
    this.#isReadingPaused = false;
    if (!this.#isClosed) this.process.post(0, () => this.readable());
  }

  close(reason: "done" | "broken"): void {
    if (this.#isClosed) return;
    if (reason === "broken") {
      this.#leave(closedHere);
      this.#resetOther();
    } else if (!this.#isEnding) {
      this.#isEnding = true;
      this.#endedFirst = true;
      this.#out.finish();
    }
  }

  // What its host finds out.

  /** An answer to a packet that opens; too late if another of those was accepted. */
  refused(): void {
    if (!this.#isEstablished) this.#leave("connection refused");
  }

  gaveUp(): void {
    if (!this.#isGone) this.#world.statistics.timedOut += 1;
    this.#leave(timedOut);
  }

  wasReset(): void {
    if (this.#isGone || this.isHostDown) return;
    this.#world.statistics.resets += 1;
    this.#leave(resetThere);
  }

  /** Its process was killed and its host cleans up. What had been closed in order before still gets across. */
  wasKilled(): void {
    if (this.#isGone || this.#isClosed) return;
    this.wasLost();
    this.#resetOther();
  }

  /** Its host has forgotten it, and nobody is told. */
  wasLost(): void {
    this.#isClosed = true;
    this.#leave(undefined);
  }

  opened(): void {
    this.#isEstablished = true;
    this.run(() => {
      if (this.#isClosed) return;
      this.#handlers?.opened();
      this.#out.open();
    });
  }

  readable(): void {
    if (this.#isReadDue || this.#isReadingPaused || this.#handlers === undefined) return;
    this.#isReadDue = true;
    this.process.run(this.#readWhenRun);
  }

  run(pump: () => void): void {
    this.process.run(pump);
  }

  queueEmptied(wasLong: boolean): void {
    if (wasLong && !this.#isClosed) this.#handlers?.drained();
    this.#checkEnd();
  }

  settled(): void {
    this.#changed();
  }

  describe(): string {
    return `${this.process.name} ${this.#state}, ${this.#out.queuedBytes} queued, ${this.#in.unreadBytes} unread`;
  }

  get #state(): string {
    if (this.#isGone) return "gone";
    if (this.#isClosed) return "closed";
    if (this.#isEnding) return "ending";
    return this.#isEstablished ? "open" : "opening";
  }

  readonly #readWhenRun = (): void => {
    this.#isReadDue = false;
    this.#read();
  };

  #read(): void {
    let hasTaken = false;
    while (!this.#isReadingPaused && !this.#isClosed) {
      const bytes = this.#in.take();
      if (bytes === undefined) {
        this.#checkEnd();
        break;
      }
      hasTaken = true;
      const { scheduler, statistics } = this.#world;
      statistics.deliveredBytes += bytes.length;
      scheduler.note(scheduler.now);
      scheduler.note(bytes.length);
      this.#handlers?.received(bytes);
    }
    if (hasTaken) this.#in.hasRead();
  }

  /** Both directions have ended, as far as this process has to do with it: it has read the end, and its own has left. */
  #checkEnd(): void {
    if (this.#isClosed || this.#isReadingPaused || !this.#in.hasEnd || this.#in.unreadBytes > 0) return;
    if (!this.#isEnding) {
      this.#isEnding = true;
      // Comes back here at once if nothing is queued.
      this.#out.finish();
      return;
    }
    if (!this.#out.isEndSent) return;
    this.#tell(this.#endedFirst ? closedHere : closedThere);
    this.#changed();
  }

  /** The host knows nothing of it any more; the process is told the cause, if it still listens. */
  #leave(cause: string | undefined): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#out.drop();
    this.#in.dropUnread();
    if (cause !== undefined) this.#tell(cause);
    this.#changed();
  }

  /** Whoever has not been heard of yet learns when it answers. */
  #resetOther(): void {
    if (this.#isEstablished) this.#out.sendReset();
  }

  #tell(cause: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#world.scheduler.noteText(cause);
    this.process.post(0, () => this.#handlers?.closed(cause));
  }
}
