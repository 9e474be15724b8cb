/**
 * One copy of a machine that executes given commands, one in each entry, so that copies can be compared command by command.
 *
 * Owns: positions and agreed times, which follow from the command's place alone; taking a copy apart and putting it together again in another
 * order; the texts of outcomes and contents. Leaves to others: what is compared with what (`check-determinism.ts`, and processes with other
 * environments in `server/determinism/`).
 */
import { defaultLimits } from "../api/config.js";
import type { ForbiddenUse, LowLevelMachine, MachineFork, MachineInstance, Outcome } from "../api/low-level.js";
import { chunkOfEntries, entriesInChunks } from "../collections/snapshot-format.js";
import { TypedInstance } from "../collections/typed-machine.js";
import { firstSession, type LogIndex } from "../model/ids.js";
import type { Hash } from "../ports/hash.js";
import { decodeValue, encodeValue, isPlainObject, quote } from "../wire/canonical.js";
import { applyAlone } from "./apply-alone.js";
import type { Draw } from "./draw.js";
import type { PlainAsk } from "./workload.js";

/** What came of one command. */
export interface Step {
  readonly outcome: Outcome;
  /** Of the state behind it. */
  readonly digest: Uint8Array;
}

/** Agreed time of one command is so much later than that of the one before. */
const msPerCommand = 1_000;
/** 2020-01-01. */
export const firstTime = 1_577_836_800_000;

export class MachineCopy {
  readonly #machine: LowLevelMachine;
  readonly #hash: Hash;
  readonly #forbidden: (use: ForbiddenUse) => void;
  #instance: MachineInstance;

  constructor(machine: LowLevelMachine, hash: Hash, forbidden: (use: ForbiddenUse) => void = () => undefined) {
    this.#machine = machine;
    this.#hash = hash;
    this.#forbidden = forbidden;
    this.#instance = this.#open();
  }

  #open(): MachineInstance {
    return this.#machine.open({ hash: this.#hash, limits: defaultLimits.machine, forbidden: this.#forbidden });
  }

  /** Executes it as the command at this place, from 0. */
  execute(place: number, { name, value }: PlainAsk): Step {
    const command = { ordinal: 0, session: firstSession, name, input: encodeValue(value) };
    const [outcome] = applyAlone(this.#instance, { ...positionOf(place), commands: [command] });
    if (outcome === undefined) throw new RangeError(`Cannot compare ${name}: the machine gave no outcome`);
    return { outcome, digest: this.#instance.digest() };
  }

  /** Asks it behind the command at this place. */
  ask(place: number, { name, value }: PlainAsk): void {
    this.#instance.query(name, encodeValue(value), positionOf(place));
  }

  fork(): MachineFork {
    return this.#instance.fork();
  }

  /** As a replica that starts again from a checkpoint: the same content, put together in an order that is drawn. */
  restore(draw: Draw): void {
    const fork = this.#instance.fork();
    const isTyped = this.#instance instanceof TypedInstance;
    this.#instance = this.#open();
    this.#instance.install(
      isTyped ? [chunkOfEntries(shuffled([...entriesInChunks(fork.chunks())], draw))] : fork.chunks(),
    );
    fork.release();
  }
}

function positionOf(place: number): { readonly index: LogIndex; readonly time: number } {
  return { index: (place + 1) as LogIndex, time: firstTime + place * msPerCommand };
}

function shuffled<Item>(items: Item[], draw: Draw): readonly Item[] {
  for (let at = items.length - 1; at > 0; at -= 1) {
    const other = draw.between(0, at);
    const [one, two] = [items[at] as Item, items[other] as Item];
    items[at] = two;
    items[other] = one;
  }
  return items;
}

// --- texts ---

/** Longer texts are cut. */
const textLengthMax = 200;

export function outcomeText(outcome: Outcome): string {
  if (outcome.status === "failed") return `failed: ${outcome.message}`;
  if (outcome.status === "ok") return valueText(decodeValue(outcome.output));
  return `rejected(${quote(outcome.code)}, ${valueText(decodeValue(outcome.data))})`;
}

/** Equal for equal outcomes only. */
export function outcomeKey(outcome: Outcome): string {
  if (outcome.status === "failed") return `failed ${outcome.message}`;
  if (outcome.status === "ok") return `ok ${String(outcome.output)}`;
  return `rejected ${quote(outcome.code)} ${String(outcome.data)}`;
}

export function askText({ name, value }: PlainAsk): string {
  return value === undefined ? `${name}()` : `${name}(${valueText(value)})`;
}

/** Each entry of a snapshot as "collection[key]", with its value. Empty for a machine whose chunks only it can read. */
export function contentsOf(chunks: Iterable<Uint8Array>): ReadonlyMap<string, string> {
  const contents = new Map<string, string>();
  for (const { name, key, value } of entriesInChunks(chunks))
    contents.set(`${name}[${valueText(key)}]`, valueText(value));
  return contents;
}

export interface DifferentKey {
  /** "collection[key]". */
  readonly key: string;
  readonly expected: string;
  readonly found: string;
}

const nothing = "nothing";

/** In order, at most so many. */
export function differentKeys(
  expected: ReadonlyMap<string, string>,
  found: ReadonlyMap<string, string>,
  countMax: number,
): readonly DifferentKey[] {
  return [...new Set([...expected.keys(), ...found.keys()])]
    .filter((key) => expected.get(key) !== found.get(key))
    .sort()
    .slice(0, countMax)
    .map((key) => ({ key, expected: expected.get(key) ?? nothing, found: found.get(key) ?? nothing }));
}

export function valueText(value: unknown, lengthMax = textLengthMax): string {
  const text = wholeText(value);
  return text.length > lengthMax ? `${text.slice(0, lengthMax)}…` : text;
}

function wholeText(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? "-0" : String(value);
  if (value instanceof Uint8Array)
    return `bytes ${[...value].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  if (Array.isArray(value)) return `[${value.map(wholeText).join(", ")}]`;
  if (!isPlainObject(value)) return "a value that is no data";
  return `{ ${Object.keys(value)
    .sort()
    .map((key) => `${key}: ${wholeText(value[key])}`)
    .join(", ")} }`;
}
