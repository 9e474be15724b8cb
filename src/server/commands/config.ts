/** `quorate config show`: what `start` would run with, and where each value comes from. Owns: the two forms of its output. */
import { Command, Option as Flag } from "commander";
import { exitCodes } from "../exit-codes.js";
import type { MemberSetting } from "../options.js";
import { paintFor, renderTable } from "../paint.js";
import type { Settings, SettingValue } from "../settings.js";
import type { Exit } from "./exit.js";
import { settingsOf, withReplicaFlags } from "./start.js";

export function configCommand(exit: Exit): Command {
  const show = withReplicaFlags(new Command("show"))
    .summary("show the configuration that start would use")
    .option("--origin", "also show where each value comes from")
    .addOption(
      new Flag("-w, --write-out <form>", "the form of the output").choices(["table", "json"]).default("table"),
    );
  show.action(() => {
    const { origin, writeOut } = show.opts<{ origin?: boolean; writeOut: "table" | "json" }>();
    const settings = settingsOf(show);
    process.stdout.write(writeOut === "json" ? asJson(settings, origin === true) : asTable(settings, origin === true));
    exit(exitCodes.ok);
  });
  return new Command("config").summary("look at the configuration").addCommand(show);
}

function asTable(settings: Settings, withOrigin: boolean): string {
  const rows = [...settings.values()].map(({ path, value, origin }) => [
    { text: path },
    { text: textOf(value) },
    ...(withOrigin ? [{ text: origin }] : []),
  ]);
  const header = ["option", "value", ...(withOrigin ? ["origin"] : [])];
  return `${renderTable(header, rows, paintFor(process.stdout.isTTY, process.env))}\n`;
}

function asJson(settings: Settings, withOrigin: boolean): string {
  const entries = [...settings.values()].map(({ path, value, origin }) => [
    path,
    withOrigin ? { value: value ?? null, origin } : (value ?? null),
  ]);
  return `${JSON.stringify(Object.fromEntries(entries))}\n`;
}

function textOf(value: SettingValue): string {
  if (value === undefined) return "(not set)";
  if (typeof value !== "object") return String(value);
  return value.map(memberText).join(" ");
}

function memberText({ id, peer, client, key }: MemberSetting): string {
  return `${id}=${peer},${client}${key === undefined ? "" : `,${key}`}`;
}
