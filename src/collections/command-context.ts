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
  readonly now: number;
  readonly index: number;
  readonly version: number;
  readonly #library: Library;
  readonly #ordinal: number;
  /** Names its own source of randomness; a command's is named by its ordinal. */
  readonly #stream: string | undefined;
  #random: Random | undefined;

  constructor(at: Position, library: Library, ordinal: number, stream: string | undefined) {
    this.now = at.time;
    this.index = at.index;
    this.version = library.version;
    this.#library = library;
    this.#ordinal = ordinal;
    this.#stream = stream;
  }

  // Getters, so that a machine may take them out of the context by destructuring it.
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
    const at = { index: this.index, ordinal: this.#ordinal };
    return (name, data) => events.emit(at, String(name), data);
  }

  /** Most commands never draw. */
  #draws(): Random {
    this.#library.drawn();
    this.#random ??= randomStream(this.index, this.#stream ?? `command ${this.#ordinal}`);
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
  readonly ordinal: number;
  readonly session: number;

  constructor(at: Position, library: Library, command: Command) {
    super(at, library, command.ordinal, undefined);
    this.ordinal = command.ordinal;
    this.session = command.session;
  }
}

/** Of what happens before the commands: of a sweep, or of the timer with this name and key. */
export function createSweepContext(at: Position, library: Library, stream: string): SweepContext {
  return new PositionContext(at, library, -1, stream);
}

export function createCommandContext(at: Position, library: Library, command: Command): Context {
  return new CommandContext(at, library, command);
}
