/**
 * One of the processes that `quorate check-determinism` compares. It executes what it is told and keeps each state, to tell of it when asked.
 *
 * Owns: what belongs to one process: its clock, loading the machine, hearing of promises. Started by `processes.ts`, over whose channel it
 * is told; ends when that closes.
 */
import { createHook } from "node:async_hooks";
import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { LowLevelMachine, MachineFork } from "../../api/low-level.js";
import { guardedCode, isMachineRunning } from "../../guard/guard.js";
import { nodeHash } from "../../node/hash.js";
import { checkAsks, drawAsks } from "../../sim/check-determinism.js";
import { askText, contentsOf, MachineCopy, outcomeKey, outcomeText, type Step } from "../../sim/machine-copy.js";
import type { PlainAsk } from "../../sim/workload.js";
import { CommandFailure, exitCodes } from "../exit-codes.js";
import { loadMachine } from "../machine-module.js";
import { loadOwn } from "../sim/subject.js";
import { readAsk, writeAsk } from "./commands-file.js";
import { startingWith } from "./started-machine.js";
import type { Answer, Begun, Checked, ChildSetting, Drawn, ExecutedAll, Task, Told } from "./tasks.js";

interface Kept extends Step {
  readonly ask: PlainAsk;
  readonly fork: MachineFork;
}

let setting: ChildSetting | undefined;
let machine: LowLevelMachine | undefined;
let kept: readonly (Kept | undefined)[] = [];

process.on("message", (task: Task) => void answer(task));
process.on("disconnect", () => process.exit());
// An async function that a command has called fails after the command: that it is one is reported by name.
process.on("unhandledRejection", () => undefined);

async function answer(task: Task): Promise<void> {
  process.send?.(await answerTo(task));
}

async function answerTo(task: Task): Promise<Answer> {
  try {
    return { kind: "done", result: await perform(task) };
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    return {
      kind: "failed",
      message,
      exitCode: cause instanceof CommandFailure ? cause.exitCode : exitCodes.failure,
    };
  }
}

async function perform(task: Task): Promise<Begun | Drawn | Checked | ExecutedAll | Told> {
  if (task.kind === "begin") return begin(task.setting);
  if (machine === undefined || setting === undefined) throw new Error("Cannot work: no machine was loaded");
  switch (task.kind) {
    case "draw":
      return draw(setting, task.count, task.seed);
    case "check":
      return check(machine, asksOf(task.lines));
    case "execute":
      return execute(machine, asksOf(task.lines));
    case "tell":
      return tell(task.place);
  }
}

async function begin(given: ChildSetting): Promise<Begun> {
  if (given.clockAheadMs !== 0) putClockAhead(given.clockAheadMs);
  setting = given;
  const loaded = await loadMachine(given.machine.prepared, given.machine.given);
  machine = given.state === undefined ? loaded : startingWith(loaded, given.state);
  return { machine: machine.name, node: process.version };
}

/** For what a module reads while it is loaded: later the guard is there. */
function putClockAhead(ms: number): void {
  const Real = Date;
  class AheadDate extends Real {
    constructor(...given: []) {
      if (given.length === 0) super(Real.now() + ms);
      else super(...given);
    }

    static override now(): number {
      return Real.now() + ms;
    }
  }
  globalThis.Date = AheadDate as DateConstructor;
}

async function draw(given: ChildSetting, count: number, seed: number): Promise<Drawn> {
  const { workload, isGuessed } = await loadOwn(given.machine);
  return { lines: drawAsks(workload, { count, seed }).map(writeAsk), isGuessed };
}

async function check(checked: LowLevelMachine, asks: readonly PlainAsk[]): Promise<Checked> {
  const promises = new Set<string>();
  const hook = createHook({
    init: (_id, type) => {
      if (type === "PROMISE" && isMachineRunning()) promises.add(guardedCode());
    },
  }).enable();
  const { ways, difference, forbidden, unchecked } = checkAsks(checked, asks);
  hook.disable();
  await nextTurn();
  return { ways, difference, forbidden, unchecked, promises: [...promises] };
}

function execute(executed: LowLevelMachine, asks: readonly PlainAsk[]): ExecutedAll {
  const copy = new MachineCopy(executed, nodeHash);
  kept = asks.map((ask, place) =>
    ask.kind === "query" ? undefined : { ask, ...copy.execute(place, ask), fork: copy.fork() },
  );
  return kept.map((step) =>
    step === undefined
      ? ""
      : createHash("sha256").update(outcomeKey(step.outcome)).update(step.digest).digest("base64"),
  );
}

function tell(place: number): Told {
  const step = kept[place];
  if (step === undefined) throw new Error(`Cannot tell of place ${place}: nothing was executed there`);
  return {
    command: askText(step.ask),
    output: outcomeText(step.outcome),
    contents: [...contentsOf(step.fork.chunks())],
  };
}

function asksOf(lines: readonly string[]): readonly PlainAsk[] {
  return lines.map((line) => {
    const ask = readAsk(line);
    if (typeof ask === "string") throw new Error(`Cannot read a command: ${ask}`);
    return ask;
  });
}
