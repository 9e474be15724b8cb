/**
 * `quorate replay --interactive`: a debugger for replicated state, told line by line what to do.
 *
 * Owns: its commands and what they print. Lines come from a terminal or a pipe.
 */
import { createInterface } from "node:readline";
import type { NamedEntry } from "../../collections/snapshot-format.js";
import type { LogIndex } from "../../model/ids.js";
import { changesOfKey, everyChange, historyLines } from "./history.js";
import { Replayer, type ReplayerParts } from "./replayer.js";
import { isMeant, shownState, stateText } from "./state-text.js";
import { replayedText, timeText } from "./text.js";

export interface InteractiveSetting {
  readonly parts: ReplayerParts;
  readonly replayer: Replayer;
  /** Of each collection, in `state`. */
  readonly countMax: number;
  readonly print: (text: string) => void;
}

const usage = `step [n]                      execute the next n entries (1), and show each
to INDEX                      go to an entry, forward or back
state [collection [key]]      what the state holds behind the last entry
history KEY                   what happened to a key up to here: KEY, COLLECTION[KEY] or COLLECTION
quit`;

export async function runInteractive(setting: InteractiveSetting, input: NodeJS.ReadableStream): Promise<void> {
  const isTerminal = "isTTY" in input && input.isTTY === true;
  const lines = createInterface({ input });
  const prompt = (): void => {
    if (isTerminal) process.stdout.write(`${setting.replayer.index}> `);
  };
  prompt();
  for await (const line of lines) {
    const [verb = "", ...words] = line.trim().split(/\s+/);
    if (verb === "quit" || verb === "exit") break;
    if (verb !== "") await perform(setting, verb, words);
    prompt();
  }
  lines.close();
}

async function perform(setting: InteractiveSetting, verb: string, words: readonly string[]): Promise<void> {
  const { print } = setting;
  switch (verb) {
    case "step":
    case "s": {
      const count = countOf(words[0] ?? "1");
      return count === undefined ? print("step takes how many") : step(setting, count);
    }
    case "to": {
      const index = countOf(words[0]);
      return index === undefined ? print("to takes the index of an entry") : goTo(setting, index);
    }
    case "state":
      return printState(setting, words);
    case "history":
      return words.length === 0 ? print("history takes a key") : printHistory(setting, words.join(" "));
    default:
      return print(usage);
  }
}

async function step({ replayer, print }: InteractiveSetting, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) {
    const replayed = await replayer.next(everyChange);
    if (replayed === undefined) return print(replayer.stopped ?? `the log ends with entry ${replayer.index}`);
    print(replayedText(replayed));
  }
}

async function goTo({ replayer, print }: InteractiveSetting, index: number): Promise<void> {
  if (index < replayer.index) {
    try {
      replayer.begin(index as LogIndex);
    } catch (cause) {
      return print(cause instanceof Error ? cause.message : String(cause));
    }
  }
  await replayer.goTo(index as LogIndex);
  if (replayer.index < index) print(replayer.stopped ?? `the log ends with entry ${replayer.index}`);
  print(`behind entry ${replayer.index}, ${timeText(replayer.time)}`);
}

function printState({ replayer, countMax, print }: InteractiveSetting, [collection, ...key]: readonly string[]): void {
  const isWanted = (entry: NamedEntry): boolean =>
    (collection === undefined || entry.name === collection) && (key.length === 0 || isMeant(key.join(" "), entry));
  print(stateText(shownState(replayer.contents(), isWanted, countMax)));
}

/** Executes again from the oldest state that there is. */
async function printHistory({ parts, replayer, print }: InteractiveSetting, key: string): Promise<void> {
  const again = new Replayer(parts);
  again.begin("oldest");
  print(`from behind entry ${again.index}`);
  while (again.index < replayer.index) {
    const replayed = await again.next(changesOfKey(key));
    if (replayed === undefined) return;
    for (const line of historyLines(replayed)) print(line);
  }
}

function countOf(text: string | undefined): number | undefined {
  const count = Number(text);
  return text !== undefined && /^\d+$/.test(text) && Number.isSafeInteger(count) ? count : undefined;
}
