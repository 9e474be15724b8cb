/**
 * A typed machine as the executor runs it: decodes an input, calls the user's function, encodes its output.
 *
 * Owns: the only calls of commands, queries and sweeps, and what becomes of one that throws: its changes are rolled back and the
 * message is its outcome, on every replica alike. Leaves to others: who asked, and whether it is asked for the first time
 * (`execution/`). Called through the low-level contract.
 *
 * Invariants M7 to M9 of `scope.ts`, and M10: after each call the state is that of the commands that did not fail, and nothing else.
 */
import { invariant, InvariantViolation } from "../base/invariant.js";
import { decodeUtf8, encodeUtf8 } from "../base/bytes.js";
import type {
  Batch,
  Command,
  MachineEnvironment,
  MachineFork,
  MachineInstance,
  Outcome,
  Position,
} from "../api/low-level.js";
import type { CommandLimits, Sweep } from "../api/machine.js";
import { isRejected } from "../api/rejected.js";
import type { Collections, StateShape } from "../api/state.js";
import { DecodeFailure, decodeValue, encodeValue, NotCanonical } from "../wire/canonical.js";
import { createCommandContext, createQueryContext, createSweepContext } from "./command-context.js";
import { chunksOf, digestOfContents, StateStore } from "./state-store.js";

/** A command or a query, its types forgotten: `define` has checked them when it was written. */
export type Run = (state: StateShape, input: unknown, context: unknown) => unknown;

export interface MachineParts {
  readonly name: string;
  readonly version: number;
  readonly declare: (collections: Collections) => StateShape;
  readonly limits: CommandLimits;
  readonly commands: ReadonlyMap<string, Run>;
  readonly queries: ReadonlyMap<string, Run>;
  readonly sweep: Sweep<StateShape> | undefined;
}

/** Longer messages are cut: they are stored with the reply. */
const messageLengthMax = 500;

export class TypedInstance implements MachineInstance {
  readonly #parts: MachineParts;
  readonly #environment: MachineEnvironment;
  readonly #store: StateStore;
  /** A sweep that throws would be due for ever: it waits for the next entry instead. */
  #sweepFailed = false;

  constructor(parts: MachineParts, environment: MachineEnvironment) {
    this.#parts = parts;
    this.#environment = environment;
    this.#store = new StateStore(parts.declare, parts.limits);
  }

  /**
   * A stack that overflows may do so inside a collection, and leave it half changed. Then the state goes back to a mark, what was
   * executed since is executed again, and the mark moves on: so a command is executed twice at most.
   */
  apply(batch: Batch): readonly Outcome[] {
    const { commands } = batch;
    let goBack = this.#store.mark();
    let markedAt = 0;
    if (this.#sweep(batch) === "overflowed") goBack();
    const outcomes: Outcome[] = [];
    for (let at = 0; at < commands.length; at += 1) {
      const command = commands[at];
      invariant(command !== undefined, "a batch has no holes");
      const outcome = this.#execute(command, batch);
      if (outcome !== "overflowed") {
        outcomes.push(outcome);
        continue;
      }
      goBack();
      if (markedAt === 0 && this.#sweep(batch) === "overflowed") goBack();
      for (const earlier of commands.slice(markedAt, at)) this.#execute(earlier, batch);
      outcomes.push({ status: "failed", message: `Cannot do ${command.name}: its calls are nested too deeply` });
      goBack = this.#store.mark();
      markedAt = at + 1;
    }
    return outcomes;
  }

  query(name: string, input: Uint8Array, at: Position): Outcome {
    const run = this.#parts.queries.get(name);
    if (run === undefined) return unknownName(this.#parts, name);
    const { scope, state } = this.#store;
    scope.begin("reading");
    try {
      const output = run(state, decodeInput(input), createQueryContext(at, this.#parts.version));
      scope.checkBudgets();
      return outcomeOf(output);
    } catch (cause) {
      return failureOf(cause);
    } finally {
      scope.commit();
    }
  }

  fork(): MachineFork {
    let contents = this.#store.fork();
    const { hash } = this.#environment;
    return {
      chunks: () => chunksOf(contents),
      digest: () => digestOfContents(contents, hash),
      release: () => {
        contents = [];
      },
    };
  }

  install(chunks: Iterable<Uint8Array>): void {
    this.#store.install(chunks);
    this.#sweepFailed = false;
  }

  digest(): Uint8Array {
    return this.#store.digest(this.#environment.hash);
  }

  dueAt(): number | undefined {
    const { sweep } = this.#parts;
    if (sweep === undefined || this.#sweepFailed) return undefined;
    const { scope, state } = this.#store;
    scope.begin("reading");
    try {
      // The state satisfies its own view: only the types of the views are narrower.
      return sweep.dueAt(state as never);
    } catch (cause) {
      failureOf(cause);
      return undefined;
    } finally {
      scope.commit();
    }
  }

  #sweep(at: Position): "done" | "overflowed" {
    const { sweep, version } = this.#parts;
    if (sweep === undefined) return "done";
    const { scope, state } = this.#store;
    scope.begin("writing");
    try {
      sweep.run(state, createSweepContext(at, version));
      scope.checkBudgets();
      if (scope.isTorn) throw new StackOverflow();
      scope.commit();
      this.#sweepFailed = false;
      return "done";
    } catch (cause) {
      this.#sweepFailed = true;
      if (isOverflow(cause) || scope.isTorn) return "overflowed";
      scope.rollback();
      failureOf(cause);
      return "done";
    }
  }

  #execute(command: Command, at: Position): Outcome | "overflowed" {
    const run = this.#parts.commands.get(command.name);
    if (run === undefined) return unknownName(this.#parts, command.name);
    const { scope, state } = this.#store;
    scope.begin("writing");
    try {
      const output = run(state, decodeInput(command.input), createCommandContext(at, this.#parts.version, command));
      scope.checkBudgets();
      const outcome = outcomeOf(output);
      if (scope.isTorn) throw new StackOverflow();
      scope.commit();
      return outcome;
    } catch (cause) {
      if (isOverflow(cause) || scope.isTorn) return "overflowed";
      scope.rollback();
      return failureOf(cause);
    }
  }
}

class MachineMisuse extends Error {}

/** The command caught what the engine threw. */
class StackOverflow extends Error {}

/** V8 has no class for it, only this message. */
function isOverflow(cause: unknown): boolean {
  return cause instanceof StackOverflow || (cause instanceof RangeError && cause.message.includes("call stack"));
}

function decodeInput(input: Uint8Array): unknown {
  const value = decodeValue(input);
  if (value instanceof DecodeFailure) throw new MachineMisuse(`Cannot decode the input: ${value.reason}`);
  return value;
}

function outcomeOf(output: unknown): Outcome {
  if (isRejected(output)) return { status: "rejected", code: asText(output.code), data: encodeOutput(output.data) };
  if (isThenable(output)) throw new MachineMisuse("Cannot answer with a promise: commands and queries are synchronous");
  return { status: "ok", output: encodeOutput(output) };
}

function encodeOutput(output: unknown): Uint8Array {
  try {
    return encodeValue(output);
  } catch (cause) {
    if (!(cause instanceof NotCanonical)) throw cause;
    throw new MachineMisuse(`Cannot encode the output${cause.path === "" ? "" : ` at ${cause.path}`}: ${cause.reason}`);
  }
}

function isThenable(value: unknown): boolean {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

function unknownName({ name }: MachineParts, asked: string): Outcome {
  return { status: "failed", message: `Cannot do ${asked}: machine ${name} does not know it` };
}

/**
 * The message alone: a stack depends on where the code lies. A violated invariant is our own bug and goes on: stopping is better
 * than a wrong state.
 */
function failureOf(cause: unknown): Outcome {
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
