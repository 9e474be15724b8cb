/**
 * The commands of one session that have a number, and those that wait for one.
 *
 * Owns: numbers in the order of the calls, the ring of what is sent and not settled, how far sending has come on the present link.
 * Leaves to others: when to send, what answers mean (`client-core.ts`). Called by `client-core.ts` alone.
 *
 *     numbers   … settled │ lowest … sent or settling … │ cursor … not yet sent on this link … │ next … not given
 *
 * Invariants
 *  A1 lowest <= cursor <= next, and next - lowest is at most the capacity of the ring.
 *  A2 a command has a number exactly from the moment it is first sent; whatever waits was surely never sent.
 *  A3 a number is given once; nothing but its own command or a `resolve` is ever sent under it.
 */
import { invariant } from "../base/invariant.js";
import { firstRequest, nextRequest, type RequestNumber, type SessionId } from "../model/ids.js";
import type { ClientLimits } from "./limits.js";
import type { AskRefusal, CommandAsk, CommandOutcome, Completion } from "./outcome.js";

/** One command from its call to the end of its number, which may outlive its answer to the caller. */
export class PendingCommand {
  readonly ask: CommandAsk;
  readonly bytes: number;
  readonly askedAt: number;
  /** Who waits; undefined once answered, while the number may still have to be settled. */
  completion: Completion<CommandOutcome> | undefined;
  /**
   * `waiting`: no number, never sent. `sent`: its command is asked. `settling`: nobody asks the command any more, a `resolve`
   * closes its number. `done`: settled.
   */
  stage: "waiting" | "sent" | "settling" | "done" = "waiting";
  number: RequestNumber | undefined;
  /** Under which it was sent: with the number, the name of what was asked. */
  session: SessionId | undefined;
  /** Sent over the present link and not answered. */
  copies = 0;
  /** A copy was sent whose fate nobody knows: a refusal of another copy proves nothing. */
  doubtful = false;
  /** The last refusal, told to the caller if nothing better comes. */
  refusal: AskRefusal | undefined;

  constructor(ask: CommandAsk, now: number) {
    this.ask = ask;
    this.askedAt = now;
    this.bytes = ask.input.length + ask.name.length;
    this.completion = ask.completion;
  }

  /** Nothing of it is on its way or in anybody's log. */
  get isSurelyRefused(): boolean {
    return !this.doubtful && this.copies === 0;
  }
}

export class Window {
  readonly #limits: ClientLimits;
  readonly #ring: (PendingCommand | undefined)[];
  readonly #mask: number;
  #lowest: RequestNumber = firstRequest;
  #cursor: RequestNumber = firstRequest;
  #next: RequestNumber = firstRequest;
  #inFlightBytes = 0;
  /** First in, first out; `#head` is the front. */
  #waiting: PendingCommand[] = [];
  #head = 0;
  /** Given up while they waited, and still in the line. */
  #abandoned = 0;
  #waitingBytes = 0;

  constructor(limits: ClientLimits) {
    this.#limits = limits;
    let capacity = 1;
    while (capacity < limits.inFlightMax) capacity *= 2;
    this.#ring = new Array<PendingCommand | undefined>(capacity).fill(undefined);
    this.#mask = capacity - 1;
  }

  /** The lowest number that is not settled: every reply below it has been taken. */
  get lowest(): RequestNumber {
    return this.#lowest;
  }

  get inFlight(): number {
    return this.#next - this.#lowest;
  }

  get waiting(): number {
    return this.#waiting.length - this.#head - this.#abandoned;
  }

  /** Something in flight was sent over the present link. */
  get isOutstanding(): boolean {
    return this.#cursor > this.#lowest;
  }

  /** Sending on this link is past `number`. */
  hasPassed(number: RequestNumber): boolean {
    return number < this.#cursor;
  }

  /** Why no more may wait, if so. */
  refusalFor(bytes: number): AskRefusal | undefined {
    if (this.waiting >= this.#limits.waitingMax) {
      return { code: "OVERLOADED", queued: this.waiting, limit: this.#limits.waitingMax };
    }
    if (this.#waitingBytes + bytes > this.#limits.waitingBytesMax && this.waiting > 0) {
      return { code: "OVERLOADED", queued: this.#waitingBytes, limit: this.#limits.waitingBytesMax };
    }
    return undefined;
  }

  enqueue(command: PendingCommand): void {
    this.#waiting.push(command);
    this.#waitingBytes += command.bytes;
  }

  /** The next command to send on this link: again in order, else a new one if there is room. */
  takeToSend(): PendingCommand | undefined {
    while (this.#cursor < this.#next) {
      const command = this.at(this.#cursor);
      this.#cursor = nextRequest(this.#cursor);
      // A copy that is on its way over this link is answered over this link.
      if (command !== undefined && command.stage !== "done" && command.copies === 0) return command;
    }
    return this.#takeWaiting();
  }

  at(number: number): PendingCommand | undefined {
    if (number < this.#lowest || number >= this.#next) return undefined;
    return this.#ring[number & this.#mask];
  }

  /** Sending goes on from `number`, if it is already past it. */
  goBackTo(number: RequestNumber): void {
    if (number < this.#cursor) this.#cursor = number < this.#lowest ? this.#lowest : number;
  }

  /** What was sent up to now may be anywhere: another link begins, or this one has swallowed it. */
  loseCopies(from: number, below: number): void {
    for (let number = Math.max(from, this.#lowest); number < Math.min(below, this.#next); number += 1) {
      const command = this.at(number);
      if (command === undefined || command.copies === 0) continue;
      command.copies = 0;
      command.doubtful = true;
    }
  }

  loseAllCopies(): void {
    this.loseCopies(this.#lowest, this.#next);
    this.#cursor = this.#lowest;
  }

  /** Its number is settled for ever. */
  finish(command: PendingCommand): void {
    invariant(command.number !== undefined, "A2 only what has a number is finished");
    command.stage = "done";
    this.#inFlightBytes -= command.bytes;
    while (this.#lowest < this.#next && this.at(this.#lowest)?.stage === "done") {
      this.#ring[this.#lowest & this.#mask] = undefined;
      this.#lowest = nextRequest(this.#lowest);
    }
    if (this.#cursor < this.#lowest) this.#cursor = this.#lowest;
    invariant(this.#cursor <= this.#next, "A1 sending stays within the numbers given");
  }

  /** Everything in flight, in order of the numbers. */
  numbered(): PendingCommand[] {
    const commands: PendingCommand[] = [];
    for (let number: number = this.#lowest; number < this.#next; number += 1) {
      const command = this.at(number);
      if (command !== undefined && command.stage !== "done") commands.push(command);
    }
    return commands;
  }

  unnumbered(): readonly PendingCommand[] {
    return this.#waiting.slice(this.#head).filter((command) => command.stage === "waiting");
  }

  /** It leaves the line without a number. */
  abandonWaiting(command: PendingCommand): void {
    invariant(command.stage === "waiting", "A2 only what waits leaves without a number");
    command.stage = "done";
    this.#waitingBytes -= command.bytes;
    this.#abandoned += 1;
    if (this.#abandoned * 2 <= this.#waiting.length - this.#head) return;
    this.#waiting = this.#waiting.slice(this.#head).filter(({ stage }) => stage === "waiting");
    this.#head = 0;
    this.#abandoned = 0;
  }

  /** A new session counts from the first number. What waits keeps waiting; what was in flight must be settled already. */
  restart(): void {
    this.#ring.fill(undefined);
    this.#lowest = firstRequest;
    this.#cursor = firstRequest;
    this.#next = firstRequest;
    this.#inFlightBytes = 0;
  }

  #takeWaiting(): PendingCommand | undefined {
    for (;;) {
      const command = this.#waiting[this.#head];
      if (command === undefined) return undefined;
      if (command.stage === "waiting") {
        if (!this.#hasRoom(command.bytes)) return undefined;
        this.#waitingBytes -= command.bytes;
        this.#dropHead();
        return this.#give(command);
      }
      this.#abandoned -= 1;
      this.#dropHead();
    }
  }

  #hasRoom(bytes: number): boolean {
    if (this.inFlight >= this.#limits.inFlightMax) return false;
    return this.inFlight === 0 || this.#inFlightBytes + bytes <= this.#limits.inFlightBytesMax;
  }

  #give(command: PendingCommand): PendingCommand {
    invariant(this.#cursor === this.#next, "A3 new numbers are given after the old ones are sent again");
    command.number = this.#next;
    command.stage = "sent";
    this.#ring[this.#next & this.#mask] = command;
    this.#next = nextRequest(this.#next);
    this.#cursor = this.#next;
    this.#inFlightBytes += command.bytes;
    return command;
  }

  #dropHead(): void {
    this.#head += 1;
    // The line is moved once it has gone half its length: constant work for each command.
    if (this.#head < this.#waiting.length && this.#head * 2 < this.#waiting.length) return;
    if (this.#head === this.#waiting.length) this.#waiting.length = 0;
    else this.#waiting.splice(0, this.#head);
    this.#head = 0;
  }
}
