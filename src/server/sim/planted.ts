/**
 * Whether planted bugs are found: each is looked for in a copy of the build, seed by seed, until one fails or the time is over.
 *
 * Owns: the search for each, the table and the JSON form. Leaves to others: the bugs (`sim/planted-bugs.ts`), the copy
 * (`planted-tree.ts`), threads (`pool.ts`). Called by `commands/sim.ts`.
 */
import type { PlantedBug } from "../../sim/planted-bugs.js";
import { exitCodes, type ExitCode } from "../exit-codes.js";
import { paintFor, renderTable, type Cell } from "../paint.js";
import { plantTree } from "./planted-tree.js";
import { Pool } from "./pool.js";
import { openProgress, silentProgress, type Progress } from "../progress.js";
import { usualShapeOf, type GivenShape, type Shape } from "./setting.js";
import type { Ran } from "./tasks.js";

export interface PlantedOptions {
  readonly bugs: readonly PlantedBug[];
  readonly shape: GivenShape;
  readonly seedBase: number;
  readonly minutes: number;
  readonly workers: number;
  readonly json: boolean;
}

export interface Hunted {
  readonly id: string;
  readonly hazard: string;
  readonly found: boolean;
  readonly seed: number | null;
  readonly rule: string | null;
  /** What was seen; of one that was not found, why its threads ended early, if they did. */
  readonly fact: string | null;
  readonly seconds: number;
  readonly seeds: number;
}

export function shapeFor({ options }: PlantedBug, given: GivenShape): Shape {
  return { ...usualShapeOf(given.model ?? options?.model), ...options, ...given };
}

/** So many of them, spread evenly. */
export function sampleOf<Item>(items: readonly Item[], count: number): readonly Item[] {
  return items.filter(
    (_, at) => Math.floor((at * count) / items.length) !== Math.floor(((at - 1) * count) / items.length),
  );
}

export async function huntPlanted(options: PlantedOptions): Promise<ExitCode> {
  const { bugs, json } = options;
  const paint = paintFor(process.stdout.isTTY, process.env);
  const progress = json ? silentProgress : openProgress(process.stderr);
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  const rows: Hunted[] = [];
  for (const bug of bugs) {
    const row = await hunt(bug, options, progress);
    progress.end();
    rows.push(row);
    if (!json)
      print(
        cellsOf(row)
          .map(({ text, style }) => (style === undefined ? text : paint(style, text)))
          .join("  "),
      );
  }
  const summary = summaryOf(rows);
  const { found, of, medianSeconds } = summary;
  if (json) print(JSON.stringify({ planted: rows, ...summary }));
  else if (bugs.length > 1) {
    const table = renderTable(["bug", "found", "seed", "rule", "time", "hazard"], rows.map(cellsOf), paint);
    print(
      `\n${table}\n\n${found} of ${of} found${medianSeconds === null ? "" : `, in ${medianSeconds} s at the median`}`,
    );
  }
  return found === of ? exitCodes.ok : exitCodes.failure;
}

async function hunt(bug: PlantedBug, options: PlantedOptions, progress: Progress): Promise<Hunted> {
  const { id, hazard } = bug;
  const { seedBase, minutes, workers, shape } = options;
  const tree = plantTree(bug);
  const startedAt = performance.now();
  const seconds = (): number => (performance.now() - startedAt) / 1_000;
  let next = seedBase;
  let done = 0;
  let failed: Ran | undefined;
  let trouble: string | null = null;
  const tell = (ran: Ran): void => {
    done += 1;
    progress.show(`${id}: ${done} seeds, ${Math.round(seconds())} s`);
    // The first by number, whichever thread was the fastest: those before it have been begun already.
    if (ran.violation !== undefined && ran.plan.seed < (failed?.plan.seed ?? Infinity)) failed = ran;
  };
  let pool: Pool | undefined;
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, minutes * 60_000)));
  try {
    pool = await Pool.open(workers, tree.worker, { shape: shapeFor(bug, shape), planted: id });
    await Promise.race([pool.runSeeds(() => (failed === undefined ? next++ : undefined), tell), over]);
  } catch (cause) {
    trouble = cause instanceof Error ? cause.message : String(cause);
  } finally {
    clearTimeout(timer);
    await pool?.close();
    tree.remove();
  }
  const violation = failed?.violation;
  const seed = failed?.plan.seed ?? null;
  return {
    id,
    hazard,
    found: violation !== undefined,
    seed,
    rule: violation?.rule ?? null,
    fact: violation?.fact ?? trouble,
    seconds: rounded(seconds()),
    seeds: seed === null ? done : seed - seedBase + 1,
  };
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

function cellsOf({ id, hazard, found, seed, rule, fact, seconds, seeds }: Hunted): readonly Cell[] {
  return [
    { text: id.padEnd(4) },
    found ? { text: "found    ", style: "green" } : { text: "not found", style: "red" },
    { text: seed === null ? `none of ${seeds}` : `seed ${seed}` },
    { text: (rule ?? "–").padEnd(3) },
    { text: `${seconds.toFixed(1)} s` },
    { text: found || fact === null ? hazard : `${hazard} (${fact})` },
  ];
}

export function summaryOf(rows: readonly Hunted[]): { found: number; of: number; medianSeconds: number | null } {
  const times = rows
    .filter(({ found }) => found)
    .map(({ seconds }) => seconds)
    .sort((left, right) => left - right);
  const low = times[Math.floor((times.length - 1) / 2)];
  const high = times[Math.floor(times.length / 2)];
  const medianSeconds = low === undefined || high === undefined ? null : rounded((low + high) / 2);
  return { found: times.length, of: rows.length, medianSeconds };
}
