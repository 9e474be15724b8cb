/**
 * The contract under every machine: batches of encoded commands in, encoded outcomes out.
 *
 * Owns: what the executor asks of a state machine. The typed machines of `define` are built on it, and so can be one that keeps
 * its state in a store of its own. Everything here is synchronous and deterministic: the same calls in the same order give
 * the same answers, digests and chunks on every replica.
 */
import type { Fingerprint } from "../base/fingerprint.js";
import type { EventsAnswer, EventsQuestion } from "../model/events.js";
import type { AgreedTime, LogIndex, SessionId } from "../model/ids.js";
import type { Hash } from "../ports/hash.js";
import type { UnfinishedReason } from "../model/skip.js";
import type { MachineLimits } from "./config.js";

/** What a replica is given to run. One definition makes any number of independent instances. */
export interface LowLevelMachine {
  readonly name: string;
  readonly version: number;
  /** What may be asked of it, sorted by name: an unknown name is refused before it is ordered. */
  readonly commandNames: readonly string[];
  readonly queryNames: readonly string[];
  /** Events that clients may follow, by name; without any there is no `events`. */
  readonly eventNames?: readonly string[];
  /** Fields of its input that a command or query reads, as far as its source shows: a simulator that is given no workload asks. */
  inputFields?(name: string): readonly string[];
  open(environment: MachineEnvironment): MachineInstance;
  /** The version before this one: it runs until this one starts. With its own `previous`, and so on, it is all that a replica can run. */
  readonly previous?: LowLevelMachine | undefined;
  /**
   * Opens an instance whose state is that of an instance of `previous`, changed to what this version needs. Wanted with `previous`. Called at
   * one position of the log on every replica; `from` stays as it is, and goes on if this fails.
   */
  migrate?(environment: MachineEnvironment, from: MachineInstance, at: Position): Migrated;
  /**
   * Looks at an input before it is ordered, at the replica that a client talks to (Standard Schema). Answers what is ordered
   * instead (the parsed form) or why not. Never called while executing.
   */
  admit(name: string, input: Uint8Array): AdmitOutcome | Promise<AdmitOutcome>;
}

export type AdmitOutcome =
  | { readonly status: "admitted"; readonly input: Uint8Array }
  | { readonly status: "invalid"; readonly message: string };

export interface MachineEnvironment {
  readonly hash: Hash;
  readonly limits: MachineLimits;
  /** Told of each forbidden use, right away: it only looks. */
  readonly forbidden?: ((use: ForbiddenUse) => void) | undefined;
  /** Told of each call of the machine's code that may have written, once it has ended: it only looks, at a fork for example. */
  readonly stepped?: ((step: MachineStep) => void) | undefined;
  /** Told when a call of the machine's code begins and when it ends, so that one without an end is noticed. */
  readonly watch?: StepWatch | undefined;
}

/** `step` as in `model/skip.ts`, -1 for what changes nothing. Calls do not nest. */
export interface StepWatch {
  begin(index: LogIndex, step: number): void;
  end(): void;
}

/** Timers and sweeps have no output. */
export type MachineStep =
  | { readonly kind: "command"; readonly ordinal: number; readonly outcome: Outcome }
  | { readonly kind: "timer"; readonly name: string; readonly key: string; readonly outcome: Outcome }
  | { readonly kind: "sweep"; readonly outcome: Outcome };

/** The code of a machine used what replicas do not see alike, and has failed by it. All but the stack is the same on every replica. */
export interface ForbiddenUse {
  /** Such as "command deposit". */
  readonly where: string;
  /** Such as "Date.now". */
  readonly used: string;
  readonly message: string;
  readonly stack: string;
  /** Of the entry; of the last one, for a query. */
  readonly index: LogIndex;
}

/** The message is the same on every replica. */
export type Migrated =
  | { readonly status: "migrated"; readonly instance: MachineInstance }
  | { readonly status: "failed"; readonly message: string };

export interface MachineInstance {
  /**
   * Executes the commands of one entry in order; answers one outcome for each. Does not throw for what a command did: that is its outcome.
   *
   * @throws CannotFinish where a command ended in what other replicas may not run into: the state is that before the whole batch then, and
   * the same batch may come again, with more in `held`.
   */
  apply(batch: Batch): readonly Outcome[];
  /** Reads, without any effect. `at` is the last executed position and its time. */
  query(name: string, input: Uint8Array, at: Position): Outcome;
  /** The state as it is now, unaffected by later batches. O(1). */
  fork(): MachineFork;
  /** Replaces the whole state by what `chunks` of a fork hold. */
  install(chunks: Iterable<Uint8Array>): void;
  /**
   * As `install`, in steps of a few milliseconds, between which batches and queries come: they see the state as it was until the last step
   * replaces all of it. Without it a replica stands still while it installs.
   */
  installing?(chunks: Iterable<Uint8Array>): Generator<void, void>;
  /** Equal for equal states, whatever their history. 32 bytes. */
  digest(): Uint8Array;
  /**
   * Equal for equal states, whatever their history, and cheap: audits ask for it every few hundred commands. Without it they compare what
   * commands answer, and not the state.
   */
  fingerprint?(): Fingerprint;
  /**
   * Looks at the whole state again, as it lies in memory, in steps of a few microseconds, between which batches and queries come. Answers the
   * names of its parts that are not what was written any more: a bit may have flipped in what no command touches. Without it such a bit is
   * found when a command reads it, or `fingerprint` does.
   */
  scrubbing?(): Generator<void, readonly string[]>;
  /** The earliest agreed time at which the state wants an entry although nobody asks for one. */
  dueAt(): AgreedTime | undefined;
  /** The events of a name in `eventNames`, in order. */
  events?(question: EventsQuestion, at: Position): EventsAnswer;
  /** What it has done by itself, since it was opened. */
  readonly statistics?: MachineStatistics;
}

export interface MachineStatistics {
  readonly timersFired: number;
  /** Of these, whose handler threw. */
  readonly timersFailed: number;
  /** Which one, where and why. */
  readonly lastTimerFailure: string | undefined;
  /** Of the clock, of randomness, and so on: each has failed. */
  readonly forbiddenUses: number;
  /** In all, since the machine began: a part of its state. */
  readonly eventsEmitted: number;
}

export interface MachineFork {
  chunks(): Iterable<Uint8Array>;
  digest(): Uint8Array;
  /** What is different from an earlier fork of the same instance; costs little where little is. */
  changesSince?(earlier: MachineFork): Iterable<StateChange>;
  release(): void;
}

/** One key of a collection: what it held and what it holds. `undefined`: it was, or is, not there. */
export interface StateChange {
  readonly collection: string;
  readonly key: unknown;
  readonly before: { readonly value: unknown } | undefined;
  readonly after: { readonly value: unknown } | undefined;
}

export interface Position {
  readonly index: LogIndex;
  readonly time: AgreedTime;
}

/** One entry's commands. An entry without commands is applied too: it moves the agreed time on. */
export interface Batch extends Position {
  readonly commands: readonly Command[];
  /** What is not to be executed, by step (`model/skip.ts`); mostly nothing. */
  readonly held?: ReadonlyMap<number, HeldStep> | undefined;
}

/** `isSkipped`: it fails, on every replica. Otherwise this replica must not try it: it ends in `CannotFinish`. */
export interface HeldStep {
  readonly reason: UnfinishedReason;
  readonly isSkipped: boolean;
}

/** A step of a batch ended in something that is no outcome, since it depends on the replica: on the stack that is left, on memory, on time. */
export class CannotFinish extends Error {
  override readonly name = "CannotFinish";
  readonly step: number;
  readonly reason: UnfinishedReason;

  constructor(step: number, reason: UnfinishedReason) {
    super(`Cannot finish step ${step}: ${reason}`);
    this.step = step;
    this.reason = reason;
  }
}

export interface Command {
  /** Place in the entry, from 0: with the index it is the command's position. */
  readonly ordinal: number;
  readonly session: SessionId;
  readonly name: string;
  /** Canonical form of the input (`wire/canonical.ts`). */
  readonly input: Uint8Array;
}

export type Outcome =
  | { readonly status: "ok"; readonly output: Uint8Array }
  | { readonly status: "rejected"; readonly code: string; readonly data: Uint8Array }
  | { readonly status: "failed"; readonly message: string };
