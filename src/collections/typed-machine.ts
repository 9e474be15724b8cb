/**
 * A typed machine as the executor runs it: decodes an input, calls the user's function, encodes its output.
 *
 * Owns: the only calls of commands, queries, timers and sweeps, and what becomes of one that throws: its changes are rolled back and the
 * message is its outcome, on every replica alike. Leaves to others: who asked, and whether it is asked for the first time
 * (`execution/`). Called through the low-level contract.
 *
 * The reason for its length: whatever calls a user's code is here, so that nothing calls it without a guard, budgets and a way back.
 *
 * Invariants M7 to M9 of `scope.ts`, M14 of `guard/guard.ts`, M10: after each call the state is that of the commands that did not fail, and
 * nothing else, and M13: what was executed once can be executed again.
 */
import type { Fingerprint } from "../base/fingerprint.js";
import { invariant, InvariantViolation } from "../base/invariant.js";
import { decodeUtf8, encodeUtf8 } from "../base/bytes.js";
import { doAll, type Steps } from "../base/steps.js";
import {
  CannotFinish,
  type Batch,
  type Command,
  type HeldStep,
  type MachineEnvironment,
  type MachineFork,
  type MachineInstance,
  type MachineStatistics,
  type MachineStep,
  type Outcome,
  type Position,
} from "../api/low-level.js";
import type { CommandLimits, Migrate, Sweep } from "../api/machine.js";
import type { EventsAnswer, EventsQuestion } from "../model/events.js";
import { noIndex, type LogIndex } from "../model/ids.js";
import { EncodedCommand } from "../model/request.js";
import type { UnfinishedReason } from "../model/skip.js";
import { isRejected } from "../api/rejected.js";
import type { StateShape } from "../api/state.js";
import { enterGuard, guardedCode, leaveGuard } from "../guard/guard.js";
import { installGuard } from "../guard/install.js";
import { DecodeFailure, decodeValue, encodeValue, NotCanonical, quote } from "../wire/canonical.js";
import { createCommandContext, createQueryContext, createSweepContext, type Library } from "./command-context.js";
import type { NamedContent } from "./snapshot-format.js";
import { StateFork } from "./state-fork.js";
import { StateStore, type Declare } from "./state-store.js";
import { EventLog } from "./event-log.js";
import { TimerTable, type DueTimer } from "./timer-table.js";

/** A command or a query, its types forgotten: `define` has checked them when it was written. */
export type Run = (state: StateShape, input: unknown, context: unknown) => unknown;

export interface MachineParts {
  readonly name: string;
  readonly version: number;
  readonly declare: Declare;
  readonly limits: CommandLimits;
  readonly commands: ReadonlyMap<string, Run>;
  readonly queries: ReadonlyMap<string, Run>;
  /** By the timer's name: one for each that is declared. */
  readonly handlers: ReadonlyMap<string, Run>;
  readonly events: readonly string[];
  readonly sweep: Sweep<StateShape> | undefined;
  readonly migrate: Migrate<StateShape, StateShape> | undefined;
}

/** Longer messages are cut: they are stored with the reply. */
const messageLengthMax = 500;

/** One call of the user's code within an entry: what is due by time comes before what clients ask for. */
type Step = TimeStep | Command;
type TimeStep = DueTimer | { readonly kind: "sweep" };

/** A reason: it has no outcome, and what it changed is not taken back. */
type StepOutcome = Outcome | UnfinishedReason;

/** An entry that was executed whole: so it can be executed again. */
interface Performed {
  readonly batch: Batch;
  readonly timeSteps: readonly TimeStep[];
}

/** The same on every replica, whatever each has run into: that of the first who reported it. */
const whyUnfinished: Readonly<Record<UnfinishedReason, string>> = {
  stack: "its calls are nested too deeply",
  memory: "it wants more memory than there is",
  time: "it runs for too long",
  crash: "it ends the process that executes it",
};

type OkOutcome = Extract<Outcome, { readonly status: "ok" }>;

const done: OkOutcome = { status: "ok", output: new Uint8Array(0) };
const theSweep = { kind: "sweep" } as const;

/** A longer output is copied in less time than it is compared. */
const sharedBytesMax = 64;

/** Of what an entry does not ask for. */
const noStep = -1;

/**
 * After a mark whatever is written is copied first: so there is one for entries of so many steps, and of so many bytes of inputs. What was executed
 * behind it is executed again when a step cannot be finished, which hardly ever happens.
 */
const stepsPerMark = 2_048;
const inputBytesPerMark = 524_288;

export class TypedInstance implements MachineInstance {
  readonly #parts: MachineParts;
  readonly #environment: MachineEnvironment;
  readonly #store: StateStore;
  readonly #library: Library;
  /** Agreed time of the last entry. */
  #time = 0;
  #index: LogIndex = noIndex;
  /** A sweep that throws would be due for ever: it waits for the next entry instead. */
  #sweepFailed = false;
  #timersFired = 0;
  #timersFailed = 0;
  #lastTimerFailure: string | undefined;
  #forbiddenUses = 0;
  /** Makes the state be that of the last mark again. */
  #goBack: (() => void) | undefined;
  /** The last command's. Those of one entry are often the same, and are kept for their sessions: one object serves for all. */
  #answered: OkOutcome = done;
  /** Since the mark. */
  #executed: Performed[] = [];
  #executedSteps = 0;
  #executedBytes = 0;
  /** A fork may be asked for between two steps. */
  #isApplying = false;

  constructor(parts: MachineParts, environment: MachineEnvironment) {
    this.#parts = parts;
    this.#environment = environment;
    installGuard();
    let timers: TimerTable | undefined;
    let events: EventLog | undefined;
    this.#store = new StateStore(guardedDeclare(parts), parts.limits, (collections) => {
      if (parts.handlers.size > 0) timers = new TimerTable(collections, parts.handlers.keys());
      if (parts.events.length > 0) events = new EventLog(collections, parts.events, environment.limits);
      return { ...timers?.collections, ...events?.collections };
    });
    const { scope } = this.#store;
    this.#library = { version: parts.version, timers, events, drawn: () => scope.noteRead() };
  }

  get statistics(): MachineStatistics {
    return {
      timersFired: this.#timersFired,
      timersFailed: this.#timersFailed,
      lastTimerFailure: this.#lastTimerFailure,
      forbiddenUses: this.#forbiddenUses,
      eventsEmitted: this.#serve(() => this.#library.events?.emitted ?? 0),
    };
  }

  /**
   * What cannot be finished may have stopped inside a collection, and left it half changed. Then the state goes back to a mark, the entries since
   * are executed again, and nothing of this one is.
   */
  apply(batch: Batch): readonly Outcome[] {
    this.#time = batch.time;
    this.#index = batch.index;
    const goBack = this.#marked();
    this.#isApplying = true;
    const performed = { batch, timeSteps: this.#timeSteps(batch) };
    const outcomes: Outcome[] = [];
    const noted: Outcome[] = [];
    const count = stepCountOf(performed);
    for (let number = 0; number < count; number += 1) {
      const outcome = this.#step(performed, number, batch.held?.get(number));
      if (typeof outcome === "string") {
        goBack();
        for (const earlier of this.#executed) this.#repeat(earlier);
        this.#goBack = undefined;
        this.#isApplying = false;
        throw new CannotFinish(number, outcome);
      }
      if (number < performed.timeSteps.length) noted.push(outcome);
      else outcomes.push(outcome);
    }
    this.#isApplying = false;
    this.#executed.push(performed);
    this.#executedSteps += count;
    this.#executedBytes += inputBytesOf(batch);
    for (let at = 0; at < noted.length; at += 1) this.#note(performed.timeSteps[at], noted[at], batch);
    return outcomes;
  }

  #step(performed: Performed, number: number, held: HeldStep | undefined): StepOutcome {
    const { watch, stepped } = this.#environment;
    const step = stepAt(performed, number);
    watch?.begin(performed.batch.index, number);
    const isTried = held === undefined || held.isSkipped;
    const outcome = isTried ? this.#perform(step, performed.batch, held) : held.reason;
    watch?.end();
    if (stepped !== undefined && typeof outcome !== "string") stepped(stepOf(step, outcome));
    return outcome;
  }

  #repeat(performed: Performed): void {
    const { batch } = performed;
    const count = stepCountOf(performed);
    for (let number = 0; number < count; number += 1) {
      const outcome = this.#perform(stepAt(performed, number), batch, batch.held?.get(number));
      invariant(typeof outcome !== "string", "M13 what was executed once can be executed again");
    }
  }

  /** Answers how to go back to the mark, a new one if enough was executed since the last. */
  #marked(): () => void {
    const isFull = this.#executedSteps >= stepsPerMark || this.#executedBytes > inputBytesPerMark;
    return this.#goBack === undefined || isFull ? this.#mark() : this.#goBack;
  }

  #mark(): () => void {
    this.#goBack = this.#store.mark();
    this.#executed = [];
    this.#executedSteps = 0;
    this.#executedBytes = 0;
    return this.#goBack;
  }

  /** `held`: it is skipped. */
  #perform(step: Step, at: Position, held: HeldStep | undefined): StepOutcome {
    if (held === undefined) return this.#execute(step, at);
    if (isOf(step, "timer")) this.#spend(step, at);
    return { status: "failed", message: `Cannot finish ${nameOf(step)}: ${whyUnfinished[held.reason]}` };
  }

  query(name: string, input: Uint8Array, at: Position): Outcome {
    const run = this.#parts.queries.get(name);
    if (run === undefined) return unknownName(this.#parts, name);
    const { scope, state } = this.#store;
    scope.begin("reading");
    this.#environment.watch?.begin(at.index, noStep);
    enterGuard("query", name);
    try {
      const output = run(state, decodeInput(input), createQueryContext(at, this.#parts.version));
      scope.checkBudgets();
      const outcome = outcomeOf(output, this.#parts.limits);
      throwForbidden();
      return outcome;
    } catch (cause) {
      return this.#failure(cause, at.index);
    } finally {
      scope.commit();
      this.#environment.watch?.end();
    }
  }

  events(question: EventsQuestion, { index }: Position): EventsAnswer {
    const { events } = this.#library;
    invariant(events !== undefined, "only events that are declared are asked for");
    return this.#serve(() => events.read(question, index));
  }

  fork(): MachineFork {
    // What is written next is copied first anyway: a mark costs nothing more here.
    if (!this.#isApplying) this.#mark();
    return new StateFork(this.#store.fork(), this.#environment.hash);
  }

  /** Begins with what an instance of the version before has. Answers why not: then this instance is good for nothing. */
  migrate(from: MachineInstance, at: Position): string | undefined {
    invariant(from instanceof TypedInstance, "a typed machine follows a typed machine");
    this.#time = at.time;
    this.#index = at.index;
    this.#store.adopt(from.#store);
    const { scope, state } = this.#store;
    const { name, migrate } = this.#parts;
    const context = createSweepContext(at, this.#library, "migration");
    scope.begin("migrating");
    from.#store.scope.begin("serving");
    enterGuard("migration of", name);
    try {
      this.#library.timers?.dropUnknown();
      doneOf(migrate?.(state, from.#store.state as never, context));
      throwForbidden();
      return scope.isTorn ? nestedTooDeeply(name) : undefined;
    } catch (cause) {
      if (isOverflow(cause) || scope.isTorn) return nestedTooDeeply(name);
      return this.#failure(cause, at.index).message;
    } finally {
      leaveGuard();
      scope.commit();
      from.#store.scope.commit();
    }
  }

  install(chunks: Iterable<Uint8Array>): void {
    doAll(this.installing(chunks));
  }

  *installing(chunks: Iterable<Uint8Array>): Steps<void> {
    yield* this.#store.installing(chunks);
    this.#goBack = undefined;
    this.#sweepFailed = false;
  }

  digest(): Uint8Array {
    return this.#store.digest(this.#environment.hash);
  }

  fingerprint(): Fingerprint {
    return this.#store.fingerprint();
  }

  /** The collections as they lie in memory: a simulator damages them there. */
  get contents(): readonly NamedContent[] {
    return this.#store.view();
  }

  scrubbing(): Steps<readonly string[]> {
    return this.#store.scrubbing();
  }

  dueAt(): number | undefined {
    const { scope, state } = this.#store;
    const { sweep } = this.#parts;
    const timer = this.#serve(() => this.#library.timers?.first());
    // More may be due than one entry fires: then the next is wanted from the last one's time on, not for the same time again.
    const timerAt = timer === undefined ? Infinity : Math.max(timer, this.#time);
    let sweepAt: number | undefined;
    if (sweep !== undefined && !this.#sweepFailed) {
      scope.begin("reading");
      this.#environment.watch?.begin(this.#index, noStep);
      enterGuard("sweep of", this.#parts.name);
      try {
        // The state satisfies its own view: only the types of the views are narrower.
        sweepAt = sweep.dueAt(state as never);
        throwForbidden();
      } catch (cause) {
        sweepAt = undefined;
        this.#failure(cause, this.#index);
      } finally {
        scope.commit();
        this.#environment.watch?.end();
      }
    }
    const earliest = Math.min(timerAt, sweepAt ?? Infinity);
    return earliest === Infinity ? undefined : earliest;
  }

  /** The library's own reads. */
  #serve<Result>(read: () => Result): Result {
    this.#store.scope.begin("serving");
    const result = read();
    this.#store.scope.commit();
    return result;
  }

  #timeSteps({ time }: Batch): readonly TimeStep[] {
    const { timersPerEntryMax } = this.#environment.limits;
    const due = this.#serve(() => this.#library.timers?.due(time, timersPerEntryMax)) ?? [];
    return this.#parts.sweep === undefined ? due : [...due, theSweep];
  }

  #execute(step: Step, at: Position): StepOutcome {
    if (isOf(step, "timer")) return this.#fire(step, at);
    if (isOf(step, "sweep")) {
      const { sweep } = this.#parts;
      return this.#write(step, at, () =>
        doneOf(sweep?.run(this.#store.state, createSweepContext(at, this.#library, "sweep"))),
      );
    }
    const run = this.#parts.commands.get(step.name);
    return run === undefined ? unknownName(this.#parts, step.name) : this.#run(run, step, at);
  }

  #fire(timer: DueTimer, at: Position): StepOutcome {
    const { name, key } = timer;
    const handler = this.#parts.handlers.get(name);
    const context = createSweepContext(at, this.#library, `timer ${name} ${key}`);
    const outcome = this.#write(timer, at, () => {
      const stored = this.#library.timers?.take(timer, at.index);
      if (handler === undefined) throw new MachineMisuse(`Cannot fire ${name}: the machine does not know it`);
      return stored === undefined ? done : doneOf(handler(this.#store.state, stored.data, context));
    });
    // Its roll-back has brought the timer back.
    if (typeof outcome !== "string" && outcome.status === "failed") this.#spend(timer, at);
    return outcome;
  }

  #spend(timer: DueTimer, at: Position): void {
    this.#write(timer, at, () => {
      this.#library.timers?.take(timer, at.index);
      return done;
    });
  }

  /** As `#write`: nearly all that is executed is a command, and a closure of each costs more than this. */
  #run(run: Run, command: Command, at: Position): StepOutcome {
    const { scope, state } = this.#store;
    const context = createCommandContext(at, this.#library, command);
    scope.begin("writing");
    enterGuard("command", command.name);
    try {
      const output = run(state, decodeInput(command), context);
      const outcome = outcomeOf(output, this.#parts.limits, this.#answered);
      if (outcome.status === "ok" && outcome.output.length <= sharedBytesMax) this.#answered = outcome;
      return this.#kept(outcome);
    } catch (cause) {
      return this.#takenBack(cause, at.index);
    }
  }

  /** Runs what may write, and keeps what it wrote or takes it back. */
  #write(step: TimeStep, at: Position, run: () => Outcome): StepOutcome {
    this.#store.scope.begin("writing");
    if (step.kind === "timer") enterGuard("timer", step.name);
    else enterGuard("sweep of", this.#parts.name);
    try {
      return this.#kept(run());
    } catch (cause) {
      return this.#takenBack(cause, at.index);
    }
  }

  #kept(outcome: Outcome): Outcome {
    const { scope } = this.#store;
    scope.checkBudgets();
    throwForbidden();
    if (scope.isTorn) throw new StackOverflow();
    scope.commit();
    return outcome;
  }

  #takenBack(cause: unknown, index: LogIndex): StepOutcome {
    const { scope } = this.#store;
    leaveGuard();
    if (isOverflow(cause) || scope.isTorn) return "stack";
    if (isOutOfMemory(cause)) return "memory";
    scope.rollback();
    return this.#failure(cause, index);
  }

  /** Whoever used something forbidden has failed by that, whatever it did afterwards. */
  #failure(cause: unknown, index: LogIndex): Extract<Outcome, { readonly status: "failed" }> {
    const forbidden = leaveGuard();
    if (forbidden === undefined || cause instanceof InvariantViolation)
      return failureOf(isChangeOfFrozen(cause) ? new FrozenChanged(guardedCode()) : cause);
    this.#forbiddenUses += 1;
    const { where, used, message, stack } = forbidden;
    this.#environment.forbidden?.({ where, used, message, stack: stack ?? message, index });
    return failureOf(forbidden);
  }

  /** What has no client to be answered. */
  #note(step: TimeStep | undefined, outcome: Outcome | undefined, { index }: Position): void {
    if (step === undefined || outcome === undefined) return;
    const isFailed = outcome.status === "failed";
    if (step.kind === "sweep") {
      this.#sweepFailed = isFailed;
      return;
    }
    this.#timersFired += 1;
    if (!isFailed) return;
    this.#timersFailed += 1;
    this.#lastTimerFailure = `${nameOf(step)} at ${index}: ${outcome.message}`;
  }
}

/** A command has another kind, or none. */
function isOf<Kind extends TimeStep["kind"]>(step: Step, kind: Kind): step is Extract<TimeStep, { kind: Kind }> {
  return "kind" in step && step.kind === kind;
}

function stepCountOf({ batch, timeSteps }: Performed): number {
  return timeSteps.length + batch.commands.length;
}

function stepAt({ batch, timeSteps }: Performed, number: number): Step {
  const step = timeSteps[number] ?? batch.commands[number - timeSteps.length];
  invariant(step !== undefined, "an entry has the steps that it counts");
  return step;
}

function inputBytesOf({ commands }: Batch): number {
  let bytes = 0;
  for (const command of commands)
    bytes += command instanceof EncodedCommand ? command.inputEnd - command.inputFrom : command.input.length;
  return bytes;
}

function stepOf(step: Step, outcome: Outcome): MachineStep {
  if (isOf(step, "timer")) return { kind: "timer", name: step.name, key: step.key, outcome };
  if (isOf(step, "sweep")) return { kind: "sweep", outcome };
  return { kind: "command", ordinal: step.ordinal, outcome };
}

function nestedTooDeeply(what: string): string {
  return `Cannot do ${what}: its calls are nested too deeply`;
}

function nameOf(step: Step): string {
  if (isOf(step, "timer")) return `${step.name} ${quote(step.key)}`;
  return isOf(step, "sweep") ? "the sweep" : step.name;
}

function throwForbidden(): void {
  const forbidden = leaveGuard();
  if (forbidden !== undefined) throw forbidden;
}

/** What a state begins with is its code's too. */
function guardedDeclare({ name, declare }: MachineParts): Declare {
  return (collections) => {
    enterGuard("state of", name);
    try {
      const state = declare(collections);
      throwForbidden();
      return state;
    } finally {
      leaveGuard();
    }
  };
}

/** Nobody reads what a timer or a sweep returns, but a promise would go on after its end. */
function doneOf(output: unknown): Outcome {
  refuseThenable(output, "Cannot wait for a promise: timers and sweeps are synchronous");
  return done;
}

class MachineMisuse extends Error {}

class FrozenChanged extends Error {
  constructor(where: string) {
    super(`Cannot change a value in ${where}: what collections give is frozen. Make a changed copy, and set that`);
  }
}

/** In V8's words, which differ between its versions: so replicas answer with ours. */
function isChangeOfFrozen(cause: unknown): boolean {
  return (
    cause instanceof TypeError &&
    /object is not extensible|^Cannot (assign to read only|delete|redefine) property/.test(cause.message)
  );
}

/** The command caught what the engine threw. */
class StackOverflow extends Error {}

/** V8 has no class for it, only this message. */
function isOverflow(cause: unknown): boolean {
  return cause instanceof StackOverflow || (cause instanceof RangeError && cause.message.includes("call stack"));
}

/** As far as it is thrown: where the heap of JavaScript has no room, the process ends. */
function isOutOfMemory(cause: unknown): boolean {
  return cause instanceof RangeError && /allocation failed|out of memory/i.test(cause.message);
}

function decodeInput(input: Uint8Array | Command): unknown {
  const value =
    input instanceof EncodedCommand
      ? decodeValue(input.bytes, input.inputFrom, input.inputEnd)
      : decodeValue(input instanceof Uint8Array ? input : input.input);
  if (value instanceof DecodeFailure) throw new MachineMisuse(`Cannot decode the input: ${value.reason}`);
  return value;
}

/** `before`: what it is answered by if its bytes are the same. */
function outcomeOf(output: unknown, limits: CommandLimits, before: OkOutcome = done): Outcome {
  if (isRejected(output))
    return { status: "rejected", code: asText(output.code), data: encodeOutput(output.data, limits) };
  refuseThenable(output, "Cannot answer with a promise: commands and queries are synchronous");
  const bytes = encodeOutput(output, limits, before.output);
  return bytes === before.output ? before : { status: "ok", output: bytes };
}

function encodeOutput(output: unknown, { outputBytesMax }: CommandLimits, before?: Uint8Array): Uint8Array {
  try {
    return encodeValue(output, outputBytesMax, before);
  } catch (cause) {
    if (!(cause instanceof NotCanonical)) throw cause;
    throw new MachineMisuse(`Cannot encode the output${cause.path === "" ? "" : ` at ${cause.path}`}: ${cause.reason}`);
  }
}

/**
 * A promise goes on behind the command, and most likely fails as it writes. That is heard here, by nobody: a failure that nobody
 * hears would end the process, of every replica that executes the command.
 */
function refuseThenable(value: unknown, message: string): void {
  if (typeof value !== "object" || value === null || !("then" in value) || typeof value.then !== "function") return;
  if (Object.prototype.toString.call(value) === "[object Promise]")
    Reflect.apply(value.then, value, [undefined, () => undefined]);
  throw new MachineMisuse(message);
}

function unknownName({ name, version }: MachineParts, asked: string): Outcome {
  return { status: "failed", message: `Cannot do ${asked}: version ${version} of ${name} does not know it` };
}

/**
 * The message alone: a stack depends on where the code lies. A violated invariant is our own bug and goes on: stopping is better
 * than a wrong state.
 */
function failureOf(cause: unknown): Extract<Outcome, { readonly status: "failed" }> {
  if (cause instanceof InvariantViolation) throw cause;
  if (cause instanceof Error) return { status: "failed", message: asText(cause.message) };
  return {
    status: "failed",
    message: typeof cause === "string" ? asText(cause) : "a value that is not an error was thrown",
  };
}

/** Bounded and well-formed, so that it can be stored and sent. */
function asText(text: unknown): string {
  if (typeof text !== "string") return "";
  return decodeUtf8(encodeUtf8(text.slice(0, messageLengthMax))) ?? "";
}
