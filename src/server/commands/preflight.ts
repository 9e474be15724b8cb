/**
 * `quorate preflight FILE`: what a changed machine would have answered to the recent log, before it is rolled out.
 *
 * Owns: its flags, the report, the exit code. Leaves to others: executing (`preflight/rehearsal.ts`).
 */
import { Command, InvalidArgumentError, Option as Flag } from "commander";
import type { LowLevelMachine } from "../../api/low-level.js";
import { CommandFailure, exitCodes, usageFailure } from "../exit-codes.js";
import { limitsOf } from "../limit-options.js";
import { loadMachine, prepareMachine } from "../machine-module.js";
import { rehearse, type Migration, type Rehearsal } from "../preflight/rehearsal.js";
import { openDirectory } from "../replay/source.js";
import { countSetting, readSettings } from "../settings.js";
import type { Exit } from "./exit.js";

interface Given {
  readonly data: string;
  readonly against?: string;
  readonly config?: string;
  readonly limit: number;
  readonly json?: true;
}

export function preflightCommand(exit: Exit): Command {
  const command = new Command("preflight")
    .summary("execute the recent log with the code before a change and after it, and show outputs that differ")
    .description(
      "Reads a replica's data directory without changing it; it may be a copy, or in use. The log that it holds is executed twice: by the version that executes now, and by the newest version of FILE, which is started by its migration before the first request. The migration is run on the newest state as well, and timed.\nExit code 0 if all outputs are equal and no migration throws, 1 if not, 2 for wrong usage, 3 if the directory cannot be read.",
    )
    .argument("<file>", "a module whose default export is the changed machine, .js or .ts")
    .requiredOption("--data <dir>", "the data directory of a replica, or a copy of it")
    .option("--against <file>", "the machine that executes now, if FILE is no new version of it but changed code")
    .option(
      "--config <file>",
      "the replicas' configuration, if they have other limits than the defaults (environment: QUORATE_CONFIG)",
    )
    .addOption(new Flag("--limit <count>", "differences that are shown").argParser(wholeFrom0).default(20))
    .option("--json", "print one JSON document");
  return command.action(async (file: string) => {
    const given = command.opts<Given>();
    const next = await loadMachine(prepareMachine(file), file);
    const { against } = given;
    const old = against === undefined ? next : await loadMachine(prepareMachine(against), against);
    const rehearsal = await rehearsalOf(given, old, next);
    const isFine = rehearsal.differences.count === 0 && rehearsal.stopped === undefined && !hasFailed(rehearsal);
    process.stdout.write(
      given.json === true ? `${JSON.stringify({ machine: next.name, ...rehearsal })}\n` : render(next.name, rehearsal),
    );
    exit(isFine ? exitCodes.ok : exitCodes.failure);
  });
}

async function rehearsalOf(given: Given, old: LowLevelMachine, next: LowLevelMachine): Promise<Rehearsal> {
  const { data, against, config, limit } = given;
  const settings = readSettings({
    file: config ?? process.env["QUORATE_CONFIG"],
    environment: process.env,
    flags: {},
  });
  const source = openDirectory(data);
  try {
    for (const { name } of [old, next]) {
      if (name === source.machine) continue;
      const message = `Cannot compare: ${data} holds the log of machine ${source.machine}, not of ${name}`;
      throw new CommandFailure(exitCodes.dataRefused, message, {});
    }
    const limits = limitsOf((option) => countSetting(settings, option));
    const rehearsal = await rehearse({ source, old, next, limits, shownMax: limit });
    if (against === undefined && rehearsal.migrations.length === 0) {
      throw usageFailure(
        `Cannot compare: version ${next.version} of ${next.name} executes already. Define a greater version with the present one as "previous", or give the present code: --against FILE`,
      );
    }
    return rehearsal;
  } finally {
    source.close();
  }
}

function hasFailed({ migrations }: Rehearsal): boolean {
  return migrations.some(({ failure }) => failure !== undefined);
}

function render(machine: string, rehearsal: Rehearsal): string {
  const { from, to, commands, versions, migrations, differences, stopped } = rehearsal;
  const lines = migrations.map(migrationText);
  for (const { index, ordinal, command, old, next } of differences.shown)
    lines.push(`entry ${index}.${ordinal}: ${command}`, `  before: ${old}`, `  after:  ${next}`);
  const more = differences.count - differences.shown.length;
  if (more > 0) lines.push(`… and ${more} more`);
  for (const [name, count] of Object.entries(differences.byCommand)) lines.push(`${name}: ${count} outputs differ`);
  if (stopped !== undefined) lines.push(`stopped behind entry ${to}: ${stopped}`);
  const what =
    versions.old === versions.next ? `version ${versions.old}` : `versions ${versions.old} and ${versions.next}`;
  const found = differences.count === 0 ? "equal outputs" : `${differences.count} outputs differ`;
  lines.push(`${commands} commands of ${machine}, entries ${from + 1} to ${to}, by ${what}: ${found}`);
  return `${lines.join("\n")}\n`;
}

function migrationText({ version, behind, ms, failure }: Migration): string {
  const end = failure === undefined ? `${ms.toFixed(1)} ms` : `throws: ${failure}`;
  return `migration to version ${version} of the state behind entry ${behind}: ${end}`;
}

function wholeFrom0(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("expected a whole number from 0");
}
