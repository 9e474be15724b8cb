/** `quorate start`: one replica, as a production process runs it. Owns: its flags. The work is in `replica-process.ts`. */
import { Command, Option as Flag } from "commander";
import { options, environmentNameOf } from "../options.js";
import { runReplicaProcess, type ProcessEvent } from "../replica-process.js";
import { readSettings, type Settings } from "../settings.js";
import type { Exit } from "./exit.js";

export function startCommand(exit: Exit): Command {
  const command = withReplicaFlags(new Command("start"))
    .summary("run one replica")
    .description(
      "Runs one replica until SIGTERM or SIGINT, which drain it; a second signal ends it at once.\nA value comes from its flag, else from the environment, else from the file, else from its default.\nLimits are left out below: each has a flag of its own, such as --checkpoints-log-entries-max; see `quorate config show`.",
    );
  return command.action(async () => {
    exit(await runReplicaProcess(settingsOf(command), reportToParent));
  });
}

/** The flags of every option of a replica, for `start` and for `config show`. */
export function withReplicaFlags(command: Command): Command {
  command.option("--config <file>", "a TOML file (environment: QUORATE_CONFIG)");
  for (const { path, flag, kind, meaning, fallback, isLimit } of options) {
    const written =
      kind === "flag" ? `--${flag}` : kind === "members" ? `--${flag} <id=peer,client[,key]>` : `--${flag} <${kind}>`;
    const standard = fallback === undefined ? "" : ` Default: ${String(fallback)}.`;
    const option = new Flag(written, `${meaning}${standard} (${path}, ${environmentNameOf(path)})`);
    if (kind === "members")
      option.argParser((text: string, before: readonly string[] | undefined) => [...(before ?? []), text]);
    command.addOption(isLimit === true ? option.hideHelp() : option);
  }
  return command;
}

export function settingsOf(command: Command): Settings {
  const given = command.opts<Record<string, string | boolean | readonly string[]>>();
  const flags = Object.fromEntries(
    options.flatMap(({ flag }) => {
      const value = given[flag.replace(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase())];
      return value === undefined ? [] : [[flag, value] as const];
    }),
  );
  const config = given["config"];
  const file = typeof config === "string" ? config : process.env["QUORATE_CONFIG"];
  return readSettings({ file, environment: process.env, flags });
}

function reportToParent(event: ProcessEvent): void {
  if (process.connected) process.send?.(event, undefined, undefined, () => undefined);
}
