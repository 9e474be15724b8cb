/**
 * Holds what clients were told against the order that was decided.
 *
 * Owns: rules V7 to V11. The order is a certificate: if every answered command stands in it with the output that was answered, every
 * query reflects the state at its position, and whoever began after another had ended stands behind it, then what clients saw is
 * linearizable (Herlihy and Wing, 1990, section 2), whatever the machine. That the certificate itself is one order is for
 * `order-judge.ts`; that it was not needed, for the search in `order-search.ts`. Called by simulated clients, and at the end of a run.
 */
import { hexOf } from "../../base/bytes.js";
import { Executor, type ExecutorParts } from "../../execution/executor.js";
import { ReportTable } from "../../execution/report-table.js";
import type { LogIndex } from "../../model/ids.js";
import type { QueryOutcome, Reply } from "../../model/request.js";
import { decodeBatch } from "../../wire/request-codec.js";
import type { MemoryJudge } from "./memory-judge.js";
import type { Floor, Operation, OperationEnd } from "../operation.js";
import { equalExecuted, equalPlain, equalReplies } from "./equal.js";
import { ReadJudge, seesEverything } from "./read-levels.js";
import { describeReply, type Decided, type OrderJudge } from "./order-judge.js";
import { must, RuleBroken } from "./violation.js";

export class ClientJudge {
  readonly #order: OrderJudge;
  readonly #reads: ReadJudge;
  readonly operations: Operation[] = [];
  readonly #memory: Pick<MemoryJudge, "isDoubtful"> | undefined;
  #floor: Floor = { index: 0, ordinal: 0 };

  constructor(order: OrderJudge, slowestClock: number, memory?: Pick<MemoryJudge, "isDoubtful">) {
    this.#order = order;
    this.#memory = memory;
    this.#reads = new ReadJudge(order.decided, slowestClock);
  }

  begin({
    client,
    kind,
    name,
    value,
    input,
    read,
    isVotedOn,
    calledAt,
  }: Omit<Operation, "number" | "floor" | "link" | "endedAt" | "end">): Operation {
    const begun: Operation = {
      client,
      kind,
      name,
      value,
      input,
      read,
      isVotedOn,
      calledAt,
      number: this.operations.length + 1,
      floor: this.#floor,
      link: 0,
      endedAt: undefined,
      end: undefined,
    };
    this.operations.push(begun);
    return begun;
  }

  /** As it counts: whoever was told something by a replica whose memory is wrong knows nothing. With `faults: "crash"` that can happen. */
  trusted(operation: Operation, end: OperationEnd): OperationEnd {
    return this.#isDoubtful(operation) ? { kind: "unknown", cause: "memory was wrong somewhere" } : end;
  }

  /** A reply to `number` of `session`. Where it stands is what the order says; the reply's own index may be a later repeat's. */
  answered(operation: Operation, key: { readonly session: number; readonly number: number }, reply: Reply): void {
    if (this.#isDoubtful(operation)) {
      operation.end = { kind: "unknown", cause: "memory was wrong somewhere" };
      return;
    }
    const position = this.#order.positionOf(key.session, key.number);
    if (position === undefined) {
      throw new RuleBroken(
        "V7",
        `${nameOf(operation)} is answered with ${describeReply(reply)}, and nobody executed request ${key.number} of session ${key.session}`,
      );
    }
    must(equalReplies(position.reply, reply), "V7", () => {
      return `${nameOf(operation)} is answered with ${describeReply(reply)}, and the order has ${describeReply(position.reply)} at ${position.index}`;
    });
    must(isBehind(position, operation.floor), "V10", () => {
      return `${nameOf(operation)} stands at ${placeOf(position)}, and ${placeOf(operation.floor)} had ended before it began`;
    });
    operation.end = { kind: "answered", reply, position: { index: position.index, ordinal: position.ordinal } };
    this.#raise(position);
  }

  read(operation: Operation, answer: { outcome: QueryOutcome; index: LogIndex; ageMs: number }): void {
    const { index } = answer;
    if (this.#isDoubtful(operation)) {
      operation.end = { kind: "unknown", cause: "memory was wrong somewhere" };
      return;
    }
    must(!seesEverything(operation) || index >= operation.floor.index, "V10", () => {
      return `${nameOf(operation)} reads the state at ${index}, and ${placeOf(operation.floor)} had ended before it began`;
    });
    must(
      index <= this.#order.decided.length,
      "V11",
      () => `${nameOf(operation)} reads the state at ${index}, which nobody has`,
    );
    this.#reads.check(operation, answer, nameOf(operation));
    operation.end = { kind: "read", ...answer };
    this.#raise({ index, ordinal: Number.MAX_SAFE_INTEGER });
  }

  #isDoubtful({ isVotedOn }: Operation): boolean {
    return !isVotedOn && this.#memory?.isDoubtful === true;
  }

  /**
   * At the end: the order is executed once more by itself, and every query is asked again at its position. `look` is given the executor after each
   * entry.
   */
  replay(parts: ExecutorParts, look: (executor: Executor, index: LogIndex) => void): void {
    const executor = new Executor(parts);
    const reports = new ReportTable(parts.reportRules);
    for (const { entry } of this.#order.decided) {
      for (const skipped of reports.look(entry, executor.configuration)) executor.hold(skipped, true);
    }
    const queries = new Map<number, Operation[]>();
    for (const operation of this.operations) {
      if (operation.end?.kind !== "read") continue;
      const { index } = operation.end;
      const present = queries.get(index);
      if (present === undefined) queries.set(index, [operation]);
      else present.push(operation);
    }
    for (const operation of queries.get(0) ?? []) checkQuery(executor, operation);
    for (const { entry, executed, by } of this.#order.decided) {
      const again = executor.execute(entry);
      must(equalExecuted(executed, again), "V6", () => {
        const at = executed.findIndex((each, place) => !equalPlain(each, again[place]));
        return `entry ${entry.index} executed alone gives ${describeReply(again[at]?.reply)} for its request ${at}, and ${by} gave ${describeReply(executed[at]?.reply)}`;
      });
      for (const operation of queries.get(entry.index) ?? []) checkQuery(executor, operation);
      look(executor, entry.index);
    }
  }

  /**
   * At the end: how often each input was executed, beside what clients were told of it. It needs no numbers of sessions, so it sees
   * also a command that was sent again under another.
   */
  checkCounts(): void {
    const executed = executedInputs(this.#order.decided);
    const counted = new Map<string, { answered: number; possible: number; readonly operations: Operation[] }>();
    for (const operation of this.operations) {
      if (operation.kind !== "command") continue;
      const key = inputKey(operation.name, operation.input);
      let counts = counted.get(key);
      if (counts === undefined) counted.set(key, (counts = { answered: 0, possible: 0, operations: [] }));
      counts.operations.push(operation);
      if (operation.end?.kind === "answered") counts.answered += 1;
      if (operation.end?.kind === "answered" || operation.end?.kind === "unknown" || operation.end === undefined)
        counts.possible += 1;
    }
    for (const [key, { answered: least, possible: most, operations }] of counted) {
      const count = executed.get(key) ?? 0;
      checkCount(count, least, most, operations);
    }
  }

  #raise(floor: Floor): void {
    if (isBehind(floor, this.#floor)) this.#floor = { index: floor.index, ordinal: floor.ordinal };
  }
}

/** How often an input was executed, and how often it was answered and may have been executed. */
function checkCount(count: number, least: number, most: number, operations: readonly Operation[]): void {
  for (const operation of operations) {
    const isNever = operation.end?.kind === "refused" || operation.end?.kind === "notExecuted";
    must(count <= most, isNever ? "V9" : "V8", () => {
      return `${nameOf(operation)} (${operation.end?.kind}): its input is executed ${count} times, and at most ${most} may be`;
    });
    must(count >= least, "V7", () => `${nameOf(operation)}: ${least} were answered and ${count} executed`);
  }
}

function checkQuery(executor: Executor, operation: Operation): void {
  if (operation.end?.kind !== "read") return;
  const { outcome, index } = operation.end;
  const again = executor.query(operation.name, operation.input);
  must(equalPlain(outcome, again), "V11", () => {
    return `${nameOf(operation)} at ${index} is answered with ${describeOutcome(outcome)}, and the state says ${describeOutcome(again)}`;
  });
}

function executedInputs(decided: readonly Decided[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { entry, executed } of decided) {
    if (entry.kind !== "batch") continue;
    const requests = decodeBatch(entry.payload) ?? [];
    requests.forEach((request, at) => {
      const result = executed[at];
      if (request.kind !== "command" || result === undefined || result.repeated) return;
      if (result.reply.status !== "ok" && result.reply.status !== "rejected" && result.reply.status !== "failed")
        return;
      const key = inputKey(request.name, request.input);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    });
  }
  return counts;
}

function inputKey(name: string, input: Uint8Array): string {
  return `${name} ${hexOf(input)}`;
}

function isBehind(position: Floor, floor: Floor): boolean {
  return position.index > floor.index || (position.index === floor.index && position.ordinal > floor.ordinal);
}

function placeOf({ index, ordinal }: Floor): string {
  return ordinal === Number.MAX_SAFE_INTEGER ? `entry ${index}` : `entry ${index}, request ${ordinal}`;
}

function describeOutcome(outcome: QueryOutcome): string {
  return outcome.status === "ok" ? `output ${hexOf(outcome.output)}` : outcome.status;
}

export function nameOf({ number, client, name }: Operation): string {
  return `operation ${number} (${name} of ${client})`;
}
