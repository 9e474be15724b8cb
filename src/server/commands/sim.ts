/**
 * `quorate sim`: the simulator on many seeds, on one, or on planted bugs.
 *
 * Owns: its flags and what they may be together. Leaves to others: running (`sim/sweep.ts`, `sim/planted.ts`), the simulator itself
 * (`src/sim/`).
 */
import { availableParallelism } from "node:os";
import { Command, InvalidArgumentError, Option as Flag } from "commander";
import { defaultFaultModel, faultModels } from "../../api/config.js";
import type { PlantedBug } from "../../sim/planted-bugs.js";
import { plantedBugs } from "../../sim/planted-table.js";
import { readCut, type Cut } from "../../sim/shrink.js";
import { planOf } from "../../sim/simulate.js";
import { usageFailure, type ExitCode } from "../exit-codes.js";
import { prepareMachine } from "../machine-module.js";
import { huntPlanted, sampleOf, shapeFor } from "../sim/planted.js";
import { exitOnSignals, plantTree } from "../sim/planted-tree.js";
import { workerUrl } from "../sim/pool.js";
import { readDuration, usualShapeOf, type GivenShape, type Setting, type Shape } from "../sim/setting.js";
import { replay, sweep } from "../sim/sweep.js";
import type { Exit } from "./exit.js";

interface Given extends Omit<GivenShape, "untilMs"> {
  readonly seeds: number;
  readonly seedBase: number;
  readonly seed?: number;
  readonly cut?: Cut;
  readonly machine?: string;
  readonly until?: number;
  readonly planted?: readonly PlantedBug[];
  readonly plantedMinutes: number;
  readonly sample?: number;
  readonly workers?: number;
  readonly json?: boolean;
}

export function simCommand(exit: Exit): Command {
  const command = new Command("sim")
    .summary("simulate clusters with faults, and check all that they promise")
    .description(
      "Runs whole clusters on simulated hosts, one for each seed, with faults that the seed draws. Exit code 0 if every rule held, 1 if one was broken, 2 for wrong usage.",
    );
  for (const flag of [...seedFlags(), ...shapeFlags(), ...plantedFlags()]) command.addOption(flag);
  return command
    .addOption(
      new Flag("--workers <count>", "threads (default: as many as there are processors)").argParser(countOf(1)),
    )
    .option("--json", "print one JSON document")
    .action(async () => {
      exit(await runSim(command.opts<Given>()));
    });
}

function seedFlags(): readonly Flag[] {
  return [
    new Flag("--seeds <count>", "how many seeds").argParser(countOf(1)).default(100),
    new Flag("--seed-base <seed>", "the first of them").argParser(countOf(0)).default(1),
    new Flag("--seed <seed>", "run this one and print its trace")
      .argParser(countOf(0))
      .conflicts(["seeds", "seedBase"]),
    new Flag("--cut <text>", "with --seed: the smaller run, as a report gives it").argParser(cutOf),
  ];
}

function shapeFlags(): readonly Flag[] {
  const { replicas, clients, operations } = usualShapeOf("crash");
  return [
    new Flag(
      "--machine <file>",
      "a module whose default export is a machine, .js or .ts (default: the simulator's own)",
    ),
    new Flag(
      "--model <model>",
      `what replicas may do wrong: ${faultModels.join(" or ")} (default: ${defaultFaultModel}); where they may lie, some do`,
    ).choices(faultModels),
    new Flag("--faults <list>", "classes or kinds of faults, all or none (default: all)").argParser(faultsOf),
    new Flag(
      "--replicas <count>",
      `how many (default: ${replicas}, or ${usualShapeOf("byzantine").replicas} where they may lie)`,
    ).argParser(countOf(1)),
    new Flag("--clients <count>", `how many (default: ${clients})`).argParser(countOf(1)),
    new Flag("--operations <count>", `asked in one run at most (default: ${operations})`).argParser(countOf(1)),
    new Flag(
      "--until <time>",
      "simulated time at which faults end: 500ms, 30s, 2m (default: when all is asked)",
    ).argParser(durationOf),
  ];
}

function plantedFlags(): readonly Flag[] {
  return [
    new Flag("--planted <ids>", "look for these planted bugs in changed copies of the build, or for all")
      .argParser(plantedOf)
      .conflicts(["machine", "seeds"]),
    new Flag("--planted-minutes <minutes>", "how long for each").argParser(minutesOf).default(15),
    new Flag("--sample <count>", "with --planted: only so many, spread evenly").argParser(countOf(1)).conflicts("seed"),
  ];
}

async function runSim(given: Given): Promise<ExitCode> {
  const { seeds, seedBase, seed, cut = {}, machine, planted, plantedMinutes: minutes, sample } = given;
  const { workers = availableParallelism() } = given;
  const json = given.json === true;
  if (given.cut !== undefined && seed === undefined)
    throw usageFailure("Cannot use --cut: it needs the --seed that it was cut from");
  if (sample !== undefined && planted === undefined) throw usageFailure("Cannot use --sample: it needs --planted");
  // Whoever read us is gone; the exit code still tells.
  process.stdout.on("error", () => undefined);
  const shape = { ...usualShapeOf(given.model), ...shapeOf(given) };
  check(shape, seed ?? seedBase, cut);
  if (planted === undefined) {
    const file = machine === undefined ? undefined : { given: machine, prepared: prepareMachine(machine) };
    const setting: Setting = { shape, machine: file };
    if (seed === undefined) return sweep({ setting, seedBase, seeds, workers, json });
    return replay({ setting, seed, cut, json, worker: workerUrl });
  }
  exitOnSignals();
  if (seed !== undefined) return replayPlanted(given, planted, seed);
  const bugs = sample === undefined ? planted : sampleOf(planted, sample);
  return huntPlanted({ bugs, shape: shapeOf(given), seedBase, minutes, workers, json });
}

async function replayPlanted(given: Given, bugs: readonly PlantedBug[], seed: number): Promise<ExitCode> {
  const [bug] = bugs;
  if (bug === undefined || bugs.length > 1)
    throw usageFailure("Cannot replay a seed with several planted bugs: name one");
  const tree = plantTree(bug);
  try {
    const setting: Setting = { shape: shapeFor(bug, shapeOf(given)), planted: bug.id };
    return await replay({ setting, seed, cut: given.cut ?? {}, json: given.json === true, worker: tree.worker });
  } finally {
    tree.remove();
  }
}

/** What was given of the shape, and no more: a planted bug may have its own. */
function shapeOf({ model, replicas, clients, operations, faults, until }: Given): GivenShape {
  return {
    ...(model === undefined ? {} : { model }),
    ...(replicas === undefined ? {} : { replicas }),
    ...(clients === undefined ? {} : { clients }),
    ...(operations === undefined ? {} : { operations }),
    ...(faults === undefined ? {} : { faults }),
    ...(until === undefined ? {} : { untilMs: until }),
  };
}

/** Before any thread is started. */
function check(shape: Shape, seed: number, cut: Cut): void {
  const { replicas = shape.replicas, clients = shape.clients, operations = shape.operations } = cut;
  try {
    planOf({ ...shape, seed });
    planOf({ ...shape, replicas, clients, operations, seed });
  } catch (cause) {
    throw cause instanceof RangeError ? usageFailure(cause.message) : cause;
  }
}

function countOf(min: number): (text: string) => number {
  return (text) => {
    const count = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(count) && count >= min) return count;
    throw new InvalidArgumentError(`expected a whole number from ${min}`);
  };
}

function minutesOf(text: string): number {
  const minutes = Number(text);
  // Timers hold no more.
  if (/^\d+(\.\d+)?$/.test(text) && minutes > 0 && minutes <= 35_000) return minutes;
  throw new InvalidArgumentError("expected minutes, up to 35000");
}

function durationOf(text: string): number {
  const ms = readDuration(text);
  if (ms === undefined) throw new InvalidArgumentError("expected a time such as 500ms, 30s or 2m");
  return ms;
}

function faultsOf(text: string): Shape["faults"] {
  return text === "all" || text === "none" ? text : text.split(",");
}

function cutOf(text: string): Cut {
  const cut = readCut(text);
  if (typeof cut === "string") throw new InvalidArgumentError(cut);
  return cut;
}

function plantedOf(text: string): readonly PlantedBug[] {
  if (text === "all") return plantedBugs;
  return text.split(",").map((id) => {
    const bug = plantedBugs.find((known) => known.id === id);
    if (bug !== undefined) return bug;
    throw new InvalidArgumentError(
      `no planted bug is called "${id}": there are ${plantedBugs.map((known) => known.id).join(", ")}`,
    );
  });
}
