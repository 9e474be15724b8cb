/**
 * `checkDeterminism`: do copies of a machine that execute the same commands stay the same?
 *
 * Owns: the ways in which replicas of one process differ (executed before, asked in between, put together from a snapshot, beside another copy)
 * and the report. Leaves to others: what a copy is (`machine-copy.ts`); processes that differ, which `quorate check-determinism` starts.
 * Called by tests, ours and those of users.
 */
import type { ForbiddenUse, LowLevelMachine, MachineFork } from "../api/low-level.js";
import { randomStream } from "../base/random.js";
import { Draw } from "./draw.js";
import { askText, contentsOf, differentKeys, MachineCopy, outcomeKey, outcomeText } from "./machine-copy.js";
import type { DifferentKey, Step } from "./machine-copy.js";
import { simHash } from "./sim-hash.js";
import { guessWorkload, plainWorkload } from "./workload.js";
import type { Ask, PlainAsk, PlainWorkload, Workload } from "./workload.js";

export interface CheckDeterminismOptions<M extends LowLevelMachine> {
  /** In order. Queries among them are asked in one of the ways only: they must change nothing. Default: drawn from the workload. */
  readonly commands?: readonly Ask<M>[] | undefined;
  /** Default: inputs are guessed from the machine's source, as `simulate` does. */
  readonly workload?: Workload<M> | undefined;
  /** How many are drawn. Default 1,000. */
  readonly count?: number | undefined;
  /** Of what is drawn. Default 1. */
  readonly seed?: number | undefined;
}

/** The first command whose output, or the state behind it, is not the same in two runs. */
export interface DeterminismDifference {
  /** Place among the commands, from 1. */
  readonly place: number;
  /** With its input, as people read it. */
  readonly command: string;
  /** How the two copies were run. */
  readonly ways: readonly [expected: string, found: string];
  readonly outputs: readonly [expected: string, found: string];
  /** Of the state, the first ten. Empty for a low-level machine, whose snapshots only it can read. */
  readonly keys: readonly DifferentKey[];
}

export interface DeterminismReport {
  readonly commands: number;
  /** The ways in which they were executed, and compared with the first. */
  readonly ways: readonly string[];
  readonly difference: DeterminismDifference | undefined;
  /** What the guard stopped, once for each place. */
  readonly forbidden: readonly ForbiddenUse[];
  /** Commands that failed each time, with the last message: what else they would do was not compared. */
  readonly unchecked: readonly { readonly command: string; readonly message: string }[];
  /** @throws DeterminismFailed whose message is the whole report. */
  assertDeterministic(): void;
}

/** The message says which command, in which runs, with both outputs and what differs in the state. */
export class DeterminismFailed extends Error {
  override readonly name = "DeterminismFailed";
}

/**
 * Executes the commands in several ways and compares outputs and states behind each. Synchronous, and all in this process, so it cannot see what
 * another time zone, environment or version of Node would do: `quorate check-determinism` does.
 *
 * @throws WorkloadFailed if the workload cannot be asked.
 */
export function checkDeterminism<M extends LowLevelMachine>(
  machine: M,
  options: CheckDeterminismOptions<M> = {},
): DeterminismReport {
  const { commands, workload, count = 1_000, seed = 1 } = options;
  const given = commands?.map((ask) => plainWorkload(() => ask)(new Draw(randomStream(seed, "given"))));
  return checkAsks(
    machine,
    given ?? drawAsks(workload === undefined ? guessWorkload(machine) : plainWorkload(workload), { count, seed }),
  );
}

/** The same for the same seed. */
export function drawAsks(
  workload: PlainWorkload,
  { count, seed }: { readonly count: number; readonly seed: number },
): readonly PlainAsk[] {
  const draw = new Draw(randomStream(seed, "determinism commands"));
  return Array.from({ length: count }, () => workload(draw));
}

interface Expected extends Step {
  readonly fork: MachineFork;
}

/** One run: after each command it compares. */
type Way = (run: Run) => void;

interface Run {
  readonly asks: readonly PlainAsk[];
  readonly draw: Draw;
  open(): MachineCopy;
  /** Executes the command at this place, and answers whether all is as expected. */
  isSame(copy: MachineCopy, place: number, command: PlainAsk): boolean;
}

const firstWay = "the first time";

const ways: Readonly<Record<string, Way>> = {
  "a second time in the same process"({ asks, open, isSame }) {
    const copy = open();
    asks.every((ask, place) => ask.kind === "query" || isSame(copy, place, ask));
  },
  "with the queries in between"({ asks, open, isSame }) {
    const copy = open();
    asks.every((ask, place) => {
      if (ask.kind === "command") return isSame(copy, place, ask);
      copy.ask(place, ask);
      return true;
    });
  },
  "put together from snapshots, in another order each time"({ asks, draw, open, isSame }) {
    const copy = open();
    const every = Math.max(1, Math.floor(asks.length / 16));
    asks.every((ask, place) => {
      if (place % every === every - 1 || place < 8) copy.restore(draw);
      return ask.kind === "query" || isSame(copy, place, ask);
    });
  },
  "in turn with another copy"({ asks, open, isSame }) {
    const copies = [open(), open()];
    asks.every((ask, place) => ask.kind === "query" || copies.every((copy) => isSame(copy, place, ask)));
  },
};

export function checkAsks(machine: LowLevelMachine, asks: readonly PlainAsk[]): DeterminismReport {
  const forbidden = new Map<string, ForbiddenUse>();
  const note = (use: ForbiddenUse): void => {
    const place = `${use.where} ${use.used}`;
    if (!forbidden.has(place)) forbidden.set(place, use);
  };
  const open = (): MachineCopy => new MachineCopy(machine, simHash, note);
  const first = open();
  const expected = asks.map((ask, place): Expected | undefined =>
    ask.kind === "query" ? undefined : { ...first.execute(place, ask), fork: first.fork() },
  );
  let difference: DeterminismDifference | undefined;
  for (const [way, run] of Object.entries(ways)) {
    const isSame: Run["isSame"] = (copy, place, ask) => {
      const found = copy.execute(place, ask);
      const wanted = expected[place];
      if (wanted === undefined || isEqualStep(wanted, found)) return true;
      difference = differenceOf({ place, ask, way }, wanted, { ...found, fork: copy.fork() });
      return false;
    };
    run({ asks, open, isSame, draw: new Draw(randomStream(1, `determinism ${way}`)) });
    if (difference !== undefined) break;
  }
  for (const step of expected) step?.fork.release();
  const commands = expected.filter((step) => step !== undefined).length;
  return withAssertion({
    commands,
    ways: [firstWay, ...Object.keys(ways)],
    difference,
    forbidden: [...forbidden.values()],
    unchecked: uncheckedIn(asks, expected),
  });
}

function uncheckedIn(asks: readonly PlainAsk[], steps: readonly (Step | undefined)[]): DeterminismReport["unchecked"] {
  const messages = new Map<string, string>();
  steps.forEach((step, place) => {
    const { name } = asks[place] ?? { name: "" };
    if (step?.outcome.status === "failed") messages.set(name, step.outcome.message);
  });
  steps.forEach((step, place) => {
    if (step !== undefined && step.outcome.status !== "failed") messages.delete(asks[place]?.name ?? "");
  });
  return [...messages].map(([command, message]) => ({ command, message }));
}

function isEqualStep(left: Step, right: Step): boolean {
  return outcomeKey(left.outcome) === outcomeKey(right.outcome) && String(left.digest) === String(right.digest);
}

const keysShownMax = 10;

function differenceOf(
  { place, ask, way }: { readonly place: number; readonly ask: PlainAsk; readonly way: string },
  expected: Expected,
  found: Expected,
): DeterminismDifference {
  const contents = [expected, found].map(({ fork }) => contentsOf(fork.chunks()));
  found.fork.release();
  return {
    place: place + 1,
    command: askText(ask),
    ways: [firstWay, way],
    outputs: [outcomeText(expected.outcome), outcomeText(found.outcome)],
    keys: differentKeys(contents[0] ?? new Map(), contents[1] ?? new Map(), keysShownMax),
  };
}

function withAssertion(found: Omit<DeterminismReport, "assertDeterministic">): DeterminismReport {
  return {
    ...found,
    assertDeterministic: () => {
      const faults = describeFaults(found);
      if (faults.length > 0) throw new DeterminismFailed(faults.join("\n\n"));
    },
  };
}

/** A text for each reason not to trust the machine. */
export function describeFaults({
  forbidden,
  unchecked,
  difference,
}: Pick<DeterminismReport, "forbidden" | "unchecked" | "difference">): readonly string[] {
  const isForbidden = (message: string): boolean => forbidden.some((use) => use.message === message);
  return [
    ...forbidden.map(({ stack }) => stack),
    ...unchecked
      .filter(({ message }) => !isForbidden(message))
      .map(({ command, message }) => `Command ${command} was not compared: it failed each time (${message})`),
    ...(difference === undefined ? [] : [describeDifference(difference)]),
  ];
}

/** For people, in lines. */
function describeDifference({ place, command, ways: [one, other], outputs, keys }: DeterminismDifference): string {
  const width = Math.max(one.length, other.length) + 1;
  const isOutput = outputs[0] !== outputs[1];
  return [
    `Command ${place} is not deterministic: ${command} gives another ${isOutput ? "output" : "state"}`,
    `  ${`${one}:`.padEnd(width)} ${outputs[0]}`,
    `  ${`${other}:`.padEnd(width)} ${outputs[1]}`,
    ...keys.map(({ key, expected, found }) => `  state ${key}: ${expected}, and then ${found}`),
  ].join("\n");
}
