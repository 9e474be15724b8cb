/**
 * The commands that a replica's log holds, as lines: what `quorate check-determinism --data` executes again.
 *
 * Owns: which of them, and the state before the first. Leaves to others: reading the directory (`replay/source.ts`), which changes nothing in it, so the
 * replica may run.
 */
import { defaultLimits } from "../../api/config.js";
import type { LowLevelMachine } from "../../api/low-level.js";
import type { Entry } from "../../model/entry.js";
import { after, noIndex } from "../../model/ids.js";
import { decodeValue } from "../../wire/canonical.js";
import { decodeBatch } from "../../wire/request-codec.js";
import { CommandFailure, exitCodes } from "../exit-codes.js";
import { base64Of } from "../forensics/finding-json.js";
import { openDirectory, type DirectorySource } from "../replay/source.js";
import { writeAsk } from "./commands-file.js";
import type { StartState } from "./started-machine.js";

export interface LoggedCommands {
  readonly lines: readonly string[];
  /** What a checkpoint has of before; undefined if the log begins with the first entry. */
  readonly state: StartState | undefined;
}

/** The first so many behind the oldest state that the directory holds. Damaged entries end it. @throws CommandFailure */
export async function commandsInLog(path: string, countMax: number, machine: LowLevelMachine): Promise<LoggedCommands> {
  const source = openDirectory(path);
  try {
    const state = stateIn(source, machine);
    const lines: string[] = [];
    for await (const entry of source.entries(after(state?.index ?? noIndex))) {
      lines.push(...linesOf(entry));
      if (lines.length >= countMax) break;
    }
    return { lines: lines.slice(0, countMax), state };
  } finally {
    source.close();
  }
}

function stateIn({ path, machine: name, starts }: DirectorySource, machine: LowLevelMachine): StartState | undefined {
  const [oldest] = starts;
  if (oldest === undefined || oldest.index === noIndex) return undefined;
  if (machine.name !== name) throw refused(path, `it holds the log of machine ${name}, not of ${machine.name}`);
  const executor = oldest.open({ machine, limits: defaultLimits });
  if (typeof executor === "string") throw refused(path, executor);
  const { executedIndex: index, time, versions } = executor;
  const fork = executor.fork();
  const chunks = [...fork.machine.chunks()].map(base64Of);
  fork.release();
  return { index, time, version: versions.state.active, chunks };
}

function linesOf({ kind, payload }: Entry): readonly string[] {
  if (kind !== "batch") return [];
  return (decodeBatch(payload) ?? [])
    .filter((request) => request.kind === "command")
    .map(({ name, input }) => writeAsk({ kind: "command", name, value: decodeValue(input) }));
}

function refused(path: string, fact: string): CommandFailure {
  return new CommandFailure(exitCodes.dataRefused, `Cannot execute what is in ${path}: ${fact}`, {});
}
