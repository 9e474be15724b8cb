/**
 * `quorate check-determinism FILE`: does a machine do the same everywhere?
 *
 * Owns: its flags, reading the commands, the report, the exit code. Leaves to others: comparing (`determinism/compare.ts`).
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option as Flag } from "commander";
import type { LowLevelMachine } from "../../api/low-level.js";
import { describeFaults } from "../../sim/check-determinism.js";
import { readAsk } from "../determinism/commands-file.js";
import { compare, type Comparison } from "../determinism/compare.js";
import { commandsInLog, type LoggedCommands } from "../determinism/log-commands.js";
import { exitCodes, usageFailure } from "../exit-codes.js";
import { loadMachine, prepareMachine } from "../machine-module.js";
import type { Exit } from "./exit.js";

interface Given {
  readonly commands?: string;
  readonly data?: string;
  readonly count: number;
  readonly seed: number;
  readonly node?: string;
  readonly json?: true;
}

export function checkDeterminismCommand(exit: Exit): Command {
  const command = new Command("check-determinism")
    .summary("execute commands in several ways and processes, and compare outputs and states")
    .description(
      "Executes the same commands again and again, in one process and in others with another time zone, language, clock, environment, heap and seeds, and names the first whose output or state differs. Exit code 0 if all are equal, 1 if one is not or used something forbidden, 2 for wrong usage.",
    )
    .argument("<file>", "a module whose default export is a machine, .js or .ts")
    .option("--commands <file>", 'one a line as JSON: {"command": "bid", "input": …}; queries are asked in between')
    .addOption(
      new Flag("--data <dir>", "the commands in the log in a replica's data directory, or a copy of one").conflicts(
        "commands",
      ),
    )
    .addOption(
      new Flag("--count <count>", "how many are drawn from the module's workload, or guessed, or taken from the log")
        .argParser(wholeFrom(1))
        .default(1_000),
    )
    .addOption(new Flag("--seed <seed>", "of what is drawn").argParser(wholeFrom(0)).default(1))
    .option("--node <path>", "compare with this other Node as well")
    .option("--json", "print one JSON document");
  return command.action(async (file: string) => {
    const { commands, data, count, seed, node, json } = command.opts<Given>();
    if (node !== undefined) checkNode(node);
    const machine = { given: file, prepared: prepareMachine(file) };
    const logged = data === undefined ? undefined : await inLog(data, count, await loadMachine(machine.prepared, file));
    const lines = commands === undefined ? logged?.lines : readLines(commands);
    const comparison = await compare({ machine, lines, state: logged?.state, count, seed, node });
    const faults = faultsOf(comparison);
    process.stdout.write(`${json === true ? JSON.stringify(comparison) : render(comparison, faults)}\n`);
    exit(faults.length === 0 ? exitCodes.ok : exitCodes.failure);
  });
}

function faultsOf(comparison: Comparison): readonly string[] {
  const promises = comparison.promises.map(
    (where) => `Cannot make a promise in ${where}: what is behind an await happens after it. Commands are synchronous`,
  );
  return [...promises, ...describeFaults(comparison)];
}

function render(comparison: Comparison, faults: readonly string[]): string {
  const { machine, commands, ways, isGuessed } = comparison;
  const executed = `${commands} ${isGuessed ? "guessed " : ""}commands of ${machine}`;
  if (faults.length > 0) return `${faults.join("\n\n")}\n\n${executed}: not deterministic`;
  return `${executed}: equal outputs and states\n${ways.map((way) => `  ${way}`).join("\n")}`;
}

async function inLog(data: string, count: number, machine: LowLevelMachine): Promise<LoggedCommands> {
  const logged = await commandsInLog(data, count, machine);
  if (logged.lines.length === 0) throw usageFailure(`Cannot compare: there is no command in the log in ${data}`);
  return logged;
}

function readLines(file: string): readonly string[] {
  const lines = textOf(file)
    .split("\n")
    .map((text, at) => ({ text, number: at + 1 }))
    .filter(({ text }) => text.trim() !== "");
  for (const { text, number } of lines) {
    const ask = readAsk(text);
    if (typeof ask === "string") throw usageFailure(`Cannot read line ${number} of ${file}: ${ask}`);
  }
  if (lines.length === 0) throw usageFailure(`Cannot compare: there is no command in ${file}`);
  return lines.map(({ text }) => text);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw usageFailure(`Cannot read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

function checkNode(path: string): void {
  let version = "";
  try {
    version = execFileSync(path, ["--version"], { encoding: "utf8" }).trim();
  } catch {
    // Said below: it gave no version.
  }
  if (!/^v\d+\./.test(version)) throw usageFailure(`Cannot compare with ${path}: it is no Node that can be run`);
}

function wholeFrom(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min) return value;
    throw new InvalidArgumentError(`expected a whole number from ${min}`);
  };
}
