/**
 * The comparison: in one process in all its ways, then between processes in other surroundings.
 *
 * Owns: the order of asking, and the first difference. Leaves to others: processes (`processes.ts`), printing (`commands/check-determinism.ts`).
 */
import type { DeterminismDifference } from "../../sim/check-determinism.js";
import { differentKeys } from "../../sim/machine-copy.js";
import { ComparedProcess, otherSurroundings, plain, type Surroundings } from "./processes.js";
import type { Begun, Checked, ChildSetting } from "./tasks.js";

export interface CompareOptions {
  readonly machine: ChildSetting["machine"];
  /** With which it begins. */
  readonly state: ChildSetting["state"];
  /** Without them they are drawn. */
  readonly lines: readonly string[] | undefined;
  readonly count: number;
  readonly seed: number;
  /** Another Node to compare with. */
  readonly node: string | undefined;
}

export interface Comparison extends Checked {
  readonly machine: string;
  readonly commands: number;
  readonly isGuessed: boolean;
}

const keysShownMax = 10;

export async function compare(options: CompareOptions): Promise<Comparison> {
  const { lines, isGuessed } = await linesOf(options);
  const { machine, checked } = await within(options, plain, async (one, begun) => ({
    machine: begun.machine,
    checked: await one.check(lines),
  }));
  const ways = [...checked.ways];
  let { difference } = checked;
  if (difference === undefined)
    difference = await within(options, plain, async (one) => {
      const expected = await one.execute(lines);
      for (const surroundings of otherSurroundings(options.node)) {
        ways.push(surroundings.name);
        const found = await within(options, surroundings, (other) =>
          compareWith({ one, expected }, surroundings, other, lines),
        );
        if (found !== undefined) return found;
      }
      return undefined;
    });
  return { ...checked, machine, commands: lines.length, isGuessed, ways, difference };
}

async function linesOf(
  options: CompareOptions,
): Promise<{ readonly lines: readonly string[]; readonly isGuessed: boolean }> {
  const { lines, count, seed } = options;
  if (lines !== undefined) return { lines, isGuessed: false };
  return within(options, plain, (one) => one.draw(count, seed));
}

async function compareWith(
  { one, expected }: { readonly one: ComparedProcess; readonly expected: readonly string[] },
  { name }: Surroundings,
  other: ComparedProcess,
  lines: readonly string[],
): Promise<DeterminismDifference | undefined> {
  const found = await other.execute(lines);
  const place = expected.findIndex((step, at) => step !== found[at]);
  if (place < 0) return undefined;
  const [wanted, got] = [await one.tell(place), await other.tell(place)];
  return {
    place: place + 1,
    command: wanted.command,
    ways: [plain.name, name],
    outputs: [wanted.output, got.output],
    keys: differentKeys(new Map(wanted.contents), new Map(got.contents), keysShownMax),
  };
}

async function within<Result>(
  { machine, state }: CompareOptions,
  surroundings: Surroundings,
  run: (one: ComparedProcess, begun: Begun) => Promise<Result>,
): Promise<Result> {
  const one = new ComparedProcess(surroundings);
  try {
    return await run(one, await one.begin({ machine, state, clockAheadMs: surroundings.clockAheadMs ?? 0 }));
  } finally {
    one.close();
  }
}
