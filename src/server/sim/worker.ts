/**
 * One thread of `quorate sim`: runs whole seeds, one after the other. What a run does depends on nothing of the thread.
 *
 * Owns: loading what is simulated, and the work of each task. Leaves to others: which seeds, and what becomes of the results
 * (`pool.ts`, which starts it).
 */
import { parentPort, workerData } from "node:worker_threads";
import { cutPlan, shrink, type Cut } from "../../sim/shrink.js";
import { planOf, runPlan, type RunOptions, type SimulationResult } from "../../sim/simulate.js";
import { CommandFailure } from "../exit-codes.js";
import type { Setting } from "./setting.js";
import { loadSubject, type Subject } from "./subject.js";
import type { Greeting, Ran, Task } from "./tasks.js";

/** Smaller runs that are tried at most, and for how long. */
const shrinkRunsMax = 200;
const shrinkMsMax = 60_000;

async function serve({ shape, machine }: Setting): Promise<void> {
  const port = parentPort;
  if (port === null) return;
  const greet = (greeting: Greeting): void => port.postMessage(greeting);
  let subject: Subject;
  try {
    subject = await loadSubject(machine);
  } catch (cause) {
    if (!(cause instanceof CommandFailure)) throw cause;
    greet({ kind: "refused", message: cause.message });
    return;
  }
  port.on("message", ({ kind, seed, cut }: Task) => {
    const plan = cutPlan(planOf({ ...shape, seed }), cut);
    const options: RunOptions = { ...subject, plan, trace: kind === "trace" };
    port.postMessage(kind === "shrink" ? shrunk(options) : ranOf(runPlan(options), cut));
  });
  greet({ kind: "ready", isGuessed: subject.isGuessed });
}

function ranOf(result: SimulationResult, cut: Cut): Ran {
  return { ...result, cut, assertCorrect: undefined };
}

function shrunk(options: RunOptions): Ran {
  const failed = runPlan(options);
  if (failed.violation === undefined) return ranOf(failed, {});
  const end = performance.now() + shrinkMsMax;
  const limits = { runsMax: shrinkRunsMax, isOver: () => performance.now() > end };
  const { cut, plan, violation } = shrink(options, failed.violation, limits);
  const again = runPlan({ ...options, plan, trace: true });
  // A machine that is not deterministic may behave well this time.
  return { ...ranOf(again, cut), violation: again.violation ?? violation };
}

void serve(workerData as Setting);
