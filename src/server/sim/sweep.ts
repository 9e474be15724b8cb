/**
 * A sweep over many seeds, and the replay of one.
 *
 * Owns: which seeds are run, the smaller run that is looked for when one fails, and what is printed. Leaves to others: threads
 * (`pool.ts`), sums (`tally.ts`), text (`report-text.ts`). Called by `commands/sim.ts`.
 */
import type { Cut } from "../../sim/shrink.js";
import { exitCodes, type ExitCode } from "../exit-codes.js";
import { paintFor } from "../paint.js";
import { Pool, workerUrl } from "./pool.js";
import { openProgress, silentProgress } from "../progress.js";
import { renderFailed, renderFailure, renderTally, renderTrace } from "./report-text.js";
import type { Setting } from "./setting.js";
import { Tally, tallyAsJson } from "./tally.js";

export interface SweepOptions {
  readonly setting: Setting;
  readonly seedBase: number;
  readonly seeds: number;
  readonly workers: number;
  readonly json: boolean;
}

export async function sweep({ setting, seedBase, seeds, workers, json }: SweepOptions): Promise<ExitCode> {
  const threads = Math.min(workers, seeds);
  const pool = await Pool.open(threads, workerUrl, setting);
  const progress = json ? silentProgress : openProgress(process.stderr);
  const tally = new Tally(seedBase, setting);
  const startedAt = performance.now();
  let next = seedBase;
  await pool.runSeeds(
    () => (next < seedBase + seeds ? next++ : undefined),
    (ran) => {
      tally.add(ran);
      progress.show(`${tally.seeds} of ${seeds} seeds, ${tally.failed.length} violations`, tally.seeds / seeds);
    },
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  const [first] = tally.failed;
  if (first !== undefined) progress.show(`seed ${first.seed} failed: looking for a smaller run that fails like it`);
  const shrunk = first === undefined ? undefined : await pool.ask({ kind: "shrink", seed: first.seed, cut: {} });
  await pool.close();
  progress.end();
  if (json) print(JSON.stringify(tallyAsJson(tally, seconds, shrunk)));
  else {
    const paint = paintFor(process.stdout.isTTY, process.env);
    print(renderTally(tally, { seconds, threads, isGuessed: pool.isGuessed }, paint));
    if (shrunk !== undefined) {
      const failure = renderFailure(shrunk, setting, "last") ?? "It did not fail again: is the machine deterministic?";
      print(
        `\n${renderFailed(tally, paint)}\n\nThe smallest run found that fails like seed ${first?.seed}:\n\n${failure}`,
      );
    }
  }
  return first === undefined ? exitCodes.ok : exitCodes.failure;
}

export interface ReplayOptions {
  readonly setting: Setting;
  readonly seed: number;
  readonly cut: Cut;
  readonly json: boolean;
  /** What the thread runs. */
  readonly worker: URL;
}

export async function replay({ setting, seed, cut, json, worker }: ReplayOptions): Promise<ExitCode> {
  const pool = await Pool.open(1, worker, setting);
  const startedAt = performance.now();
  const ran = await pool.ask({ kind: "trace", seed, cut });
  const seconds = (performance.now() - startedAt) / 1_000;
  await pool.close();
  const tally = new Tally(seed, setting);
  tally.add(ran);
  if (json) print(JSON.stringify({ ...tallyAsJson(tally, seconds, undefined), trace: ran.trace }));
  else {
    const paint = paintFor(process.stdout.isTTY, process.env);
    const summary = renderTally(tally, { seconds, threads: 1, isGuessed: pool.isGuessed }, paint);
    print(renderFailure(ran, setting, "all") ?? `${summary}\n\n${renderTrace(ran.trace, ran.trace.length)}`);
  }
  return ran.violation === undefined ? exitCodes.ok : exitCodes.failure;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
