/**
 * `quorate replay DIR`: executes what a data directory holds again, offline, and shows what happens on the way.
 *
 * Owns: its flags, what is shown of which entries, the exit code. Leaves to others: reading and executing (`replay/`).
 */
import { existsSync, statSync } from "node:fs";
import { Command, InvalidArgumentError, Option as Flag } from "commander";
import { entriesInChunks } from "../../collections/snapshot-format.js";
import { before, type LogIndex } from "../../model/ids.js";
import { CommandFailure, exitCodes, usageFailure, type ExitCode } from "../exit-codes.js";
import { differentEntries } from "../forensics/compare.js";
import { limitsOf } from "../limit-options.js";
import { loadMachine, prepareMachine } from "../machine-module.js";
import { bundledName } from "../options.js";
import { openEvidence } from "../replay/evidence.js";
import { changesOfKey, everyChange, historyLines, onlyChanging } from "../replay/history.js";
import { runInteractive } from "../replay/interactive.js";
import { Replayer, type Replayed, type ReplayerParts } from "../replay/replayer.js";
import { openDirectory, type ReplaySource } from "../replay/source.js";
import { shownState, stateJson, stateText } from "../replay/state-text.js";
import { replayedJson, replayedText, timeText } from "../replay/text.js";
import { countSetting, readSettings, textSetting, type Settings } from "../settings.js";
import { valueText } from "../../sim/machine-copy.js";
import type { Exit } from "./exit.js";

interface Given {
  readonly machine?: string;
  readonly config?: string;
  readonly from?: LogIndex;
  readonly to?: LogIndex;
  readonly state?: true;
  readonly key?: string;
  readonly limit: number;
  readonly json?: true;
  readonly interactive?: true;
}

export function replayCommand(exit: Exit): Command {
  const command = new Command("replay")
    .summary("execute a replica's log again, offline, and show what each entry did")
    .description(
      "Reads a data directory without changing it, executes its log from a checkpoint or the beginning, and shows of each entry who asked what, what it was answered and what it changed. The directory may be a copy, or in use: then what it holds at this moment is shown.\nExit code 0 if everything that was asked for could be executed and is what replicas reported, 1 if not, 2 for wrong usage, 3 if the directory cannot be read.",
    )
    .argument(
      "<path>",
      "the data directory of a replica, or a file of evidence: of quorate audit export, or from the directory evidence in it",
    )
    .option(
      "--machine <file>",
      `a module whose default export is the machine that the log is of; default: ${bundledName}`,
    )
    .option(
      "--config <file>",
      "the replicas' configuration, if they have other limits than the defaults (environment: QUORATE_CONFIG)",
    )
    .addOption(new Flag("--from <index>", "the first entry that is shown").argParser(indexFrom))
    .addOption(new Flag("--to <index>", "the last entry that is executed").argParser(indexFrom))
    .addOption(
      new Flag("--state", "show the state behind the last entry instead of entries").conflicts(["from", "key"]),
    )
    .option("--key <key>", "show what happened to one key: KEY, COLLECTION[KEY] or a whole COLLECTION")
    .addOption(
      new Flag("--limit <count>", "keys of each collection that --state shows").argParser(indexFrom).default(20),
    )
    .option("--json", "print lines of JSON")
    .addOption(
      new Flag("--interactive", "go on as lines of input say: step, to, state, history, quit").conflicts([
        "json",
        "key",
      ]),
    );
  return command.action(async (path: string) => {
    const given = command.opts<Given>();
    const settings = readSettings({
      file: given.config ?? process.env["QUORATE_CONFIG"],
      environment: process.env,
      flags: {},
    });
    const source = isFile(path) ? openEvidence(path) : openDirectory(path);
    try {
      exit(await replay(given, await partsOf(source, given, settings)));
    } finally {
      source.close();
    }
  });
}

async function partsOf(source: ReplaySource, { machine: named }: Given, settings: Settings): Promise<ReplayerParts> {
  const given = named ?? textSetting(settings, "replica.machine") ?? bundledName;
  const machine = await loadMachine(prepareMachine(given), given);
  if (machine.name !== source.machine) {
    const message = `Cannot replay ${source.path}: it holds the log of machine ${source.machine}, not of ${machine.name}. Give its module: --machine FILE`;
    throw new CommandFailure(exitCodes.dataRefused, message, {});
  }
  return { source, machine, limits: limitsOf((option) => countSetting(settings, option)) };
}

/** What is asked for, and how far it has come. */
interface Run {
  readonly given: Given;
  readonly parts: ReplayerParts;
  readonly replayer: Replayer;
  /** The last entry to execute. */
  readonly to: LogIndex;
}

async function replay(given: Given, parts: ReplayerParts): Promise<ExitCode> {
  const { source } = parts;
  const { from, to = source.lastIndex } = given;
  if (from !== undefined && (from < 1 || from > to)) throw usageFailure(`Cannot replay from entry ${from} to ${to}`);
  const replayer = new Replayer(parts);
  const start = given.state === true ? to : from === undefined ? "oldest" : before(from);
  const notes = replayer.begin(start);
  if (replayer.index > to)
    throw usageFailure(`Cannot replay to entry ${to}: the oldest state is that behind entry ${replayer.index}`);
  const { clusterId, replicaId, machine, path } = source;
  const whose = `${path}: replica ${replicaId} of cluster ${clusterId}, machine ${machine}`;
  tell(`${whose}: executed from behind entry ${replayer.index}, the log ends with ${source.lastIndex}`);
  for (const note of [...source.notes, ...notes]) tell(note);
  if (from !== undefined) await replayer.goTo(before(from));
  const run: Run = { given, parts, replayer, to };
  if (given.interactive === true) return interact(run);
  return given.state === true ? showState(run) : showEntries(run);
}

async function interact({ given, parts, replayer }: Run): Promise<ExitCode> {
  if (given.to !== undefined) await replayer.goTo(given.to);
  await runInteractive({ parts, replayer, countMax: given.limit, print }, process.stdin);
  return exitCodes.ok;
}

async function showState(run: Run): Promise<ExitCode> {
  const { given, replayer, to } = run;
  await replayer.goTo(to);
  const collections = shownState(replayer.contents(), () => true, given.limit);
  const { index, time } = replayer;
  if (given.json === true) print(JSON.stringify(stateJson(index, time, collections)));
  else print(`behind entry ${index}, ${timeText(time)}\n${stateText(collections)}`);
  return end(run, new Map());
}

async function showEntries(run: Run): Promise<ExitCode> {
  const { given, replayer, to } = run;
  const watch = given.key === undefined ? everyChange : changesOfKey(given.key);
  const differing = new Map<string, LogIndex>();
  while (replayer.index < to) {
    const replayed = await replayer.next(watch);
    if (replayed === undefined) break;
    for (const [replica, at] of differencesIn(replayed)) if (!differing.has(replica)) differing.set(replica, at);
    for (const text of textsOf(replayed, given)) print(text);
  }
  return end(run, differing);
}

/** Who had something else than is computed here, and where. */
function differencesIn({ entry, report, remembered }: Replayed): readonly (readonly [string, LogIndex])[] {
  const [first] = report?.different ?? [];
  const reported = report === undefined || first === undefined ? [] : [[report.replica, first.index] as const];
  return [...reported, ...remembered.map(({ replica }) => [replica, entry.index] as const)];
}

function textsOf(replayed: Replayed, { key, json }: Given): readonly string[] {
  if (json !== true) return key === undefined ? [replayedText(replayed)] : historyLines(replayed);
  const shown = key === undefined ? replayed : onlyChanging(replayed);
  return shown === undefined ? [] : [JSON.stringify(replayedJson(shown))];
}

function end(run: Run, differing: ReadonlyMap<string, LogIndex>): ExitCode {
  const { given, parts, replayer, to } = run;
  const { index, stopped, decided } = replayer;
  const faults = [...differing].map(
    ([replica, at]) => `${replica} had something else than is computed here, from entry ${at} on`,
  );
  if (stopped !== undefined) faults.push(`Entries behind ${index} cannot be executed: ${stopped}`);
  else if (index < to) faults.push(`The log ends with entry ${index}`);
  faults.push(...differencesOfState(run));
  if (given.json === true) print(JSON.stringify({ event: "end", index, faults }));
  for (const fault of faults) tell(fault);
  if (parts.source.remembered === undefined && index === parts.source.lastIndex && index > decided) {
    tell(
      `Entries behind ${decided} are in this log, and none says that a replica has executed them: they may have been replaced elsewhere`,
    );
  }
  return faults.length === 0 ? exitCodes.ok : exitCodes.failure;
}

/** Of the state that a replica kept in its own evidence. */
function differencesOfState({ given, parts: { source }, replayer }: Run): readonly string[] {
  if (source.kept === undefined || replayer.index !== source.lastIndex) return [];
  const different = differentEntries([...replayer.contents()], [...entriesInChunks(source.kept)]);
  const told = different.slice(0, given.limit).map(({ collection, key, left, right }) => {
    const [computed, kept] = [left, right].map((side) => (side === undefined ? "nothing" : valueText(side.value)));
    return `${collection}[${valueText(key)}] is ${computed} here, and ${source.replicaId} had ${kept} behind entry ${replayer.index}`;
  });
  const more = different.length - told.length;
  return more > 0 ? [...told, `${more} more keys are not what ${source.replicaId} had`] : told;
}

/** What is no part of the result. */
function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function isFile(path: string): boolean {
  return existsSync(path) && statSync(path).isFile();
}

function indexFrom(text: string): LogIndex {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value as LogIndex;
  throw new InvalidArgumentError("expected a whole number");
}
