/**
 * `context`: the only source of anything from outside the state.
 *
 * Owns: what a command, a sweep and a query may know. Everything follows from the position, so it is the same on every replica.
 */
import { nextFraction, nextUint32, randomStream, type Random } from "../base/random.js";
import type { Context, EventTypes, QueryContext, SweepContext, TimerControl } from "../api/machine.js";
import type { Command, Position } from "../api/low-level.js";
import type { EventLog } from "./event-log.js";
import type { TimerTable } from "./timer-table.js";

/** What a machine declares beside its state. */
export interface Library {
  readonly version: number;
  readonly timers: TimerTable | undefined;
  readonly events: EventLog | undefined;
  /** Before each draw of randomness. */
  readonly drawn: () => void;
}

export function createQueryContext(at: Position, version: number): QueryContext {
  return { now: at.time, index: at.index, version };
}

class PositionContext implements SweepContext {
  readonly #at: Position;
  readonly #library: Library;
  /** By its place in the entry, which names its source of randomness too, or by a name of its own. */
  readonly #source: Command | string;
  #random: Random | undefined = undefined;

  constructor(at: Position, library: Library, source: Command | string) {
    this.#at = at;
    this.#library = library;
    this.#source = source;
  }

  // Getters, so that a machine may take them out of the context by destructuring it, and so that each command has few fields to fill in.
  get now(): number {
    return this.#at.time;
  }

  get index(): number {
    return this.#at.index;
  }

  get version(): number {
    return this.#library.version;
  }

  get random(): () => number {
    return () => nextFraction(this.#draws());
  }

  get uuid(): () => string {
    return () => uuidOf(this.#draws());
  }

  get timers(): TimerControl<EventTypes> {
    const { timers } = this.#library;
    if (timers === undefined) throw new Error("Cannot use a timer: the machine declares none");
    return timers.control(this.index);
  }

  get emit(): Context["emit"] {
    const { events } = this.#library;
    if (events === undefined) throw new Error("Cannot emit an event: the machine declares none");
    const source = this.#source;
    const at = { index: this.index, ordinal: typeof source === "string" ? -1 : source.ordinal };
    return (name, data) => events.emit(at, String(name), data);
  }

  /** Most commands never draw. */
  #draws(): Random {
    this.#library.drawn();
    const source = this.#source;
    this.#random ??= randomStream(this.index, typeof source === "string" ? source : `command ${source.ordinal}`);
    return this.#random;
  }
}

function uuidOf(draws: Random): string {
  const words = [nextUint32(draws), nextUint32(draws), nextUint32(draws), nextUint32(draws)];
  const hex = words.map((word) => word.toString(16).padStart(8, "0")).join("");
  // RFC 9562: version 4, variant 10.
  const variant = "89ab"[parseInt(hex.charAt(16), 16) & 3] ?? "8";
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20),
  ].join("-");
}

class CommandContext extends PositionContext implements Context {
  readonly #command: Command;

  constructor(at: Position, library: Library, command: Command) {
    super(at, library, command);
    this.#command = command;
  }

  get ordinal(): number {
    return this.#command.ordinal;
  }

  get session(): number {
    return this.#command.session;
  }
}

/** Of what happens before the commands: of a sweep, or of the timer with this name and key. */
export function createSweepContext(at: Position, library: Library, stream: string): SweepContext {
  return new PositionContext(at, library, stream);
}

export function createCommandContext(at: Position, library: Library, command: Command): Context {
  return new CommandContext(at, library, command);
}
