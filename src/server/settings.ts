/**
 * Where a replica process's configuration comes from: defaults < TOML file < environment < flags.
 *
 * Owns: reading and layering, the origin of each value, and the refusal of whatever is unknown or wrong, with the place where it
 * stands. Leaves to others: the options themselves (`options.ts`), relations between them (`replica-process.ts`).
 */
import { readFileSync } from "node:fs";
import { parse as parseToml, TomlError } from "smol-toml";
import { z } from "zod";
import { keyOfName } from "../wire/key-name.js";
import { CommandFailure, exitCodes, usageFailure } from "./exit-codes.js";
import { environmentNameOf, hostPort, options, replicaId, type MemberSetting, type Option } from "./options.js";
import { didYouMean } from "./suggestion.js";

export type SettingValue = string | number | boolean | readonly MemberSetting[] | undefined;

export interface Setting {
  readonly path: string;
  readonly value: SettingValue;
  /** For people: `default`, `a.toml:3`, `QUORATE_LOG__LEVEL`, `--log-level`. */
  readonly origin: string;
}

export type Settings = ReadonlyMap<string, Setting>;

export interface SettingSources {
  readonly file: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** By flag name without dashes; a repeated flag gives a list. */
  readonly flags: Readonly<Record<string, string | boolean | readonly string[]>>;
}

/** Reads and layers everything; what is required and missing is left out, for `config show` to show. */
export function readSettings(sources: SettingSources): Settings {
  const settings = new Map<string, Setting>();
  for (const option of options) {
    settings.set(option.path, { path: option.path, value: option.fallback, origin: "default" });
  }
  if (sources.file !== undefined) readFile(sources.file, settings);
  readEnvironment(sources.environment, settings);
  readFlags(sources.flags, settings);
  return settings;
}

export function checkRequired(settings: Settings): void {
  const [first, ...others] = options.filter(
    ({ path, required }) => required && settings.get(path)?.value === undefined,
  );
  if (first === undefined) return;
  const also = others.length === 0 ? "" : `. Missing too: ${others.map(({ path }) => path).join(", ")}`;
  throw usageFailure(
    `Cannot start a replica: ${first.path} is missing. Set it in the file given by --config, as ${environmentNameOf(first.path)}, or by --${first.flag}${also}`,
  );
}

// --- the file ---

function readFile(file: string, settings: Map<string, Setting>): void {
  const text = readText(file);
  const table = parseFile(file, text);
  for (const [path, value] of leavesOf(table, "")) {
    const line = lineOf(text, path);
    const place = line === undefined ? file : `${file}:${line}`;
    const option = options.find((candidate) => candidate.path === path);
    if (option === undefined) throw usageFailure(`Cannot read ${place}: ${path} is not an option.${suggestPath(path)}`);
    settings.set(path, { path, value: checkValue(option, value, place), origin: place });
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CommandFailure(exitCodes.usage, `Cannot read the configuration file ${file}: ${reason}`, { cause });
  }
}

function parseFile(file: string, text: string): Record<string, unknown> {
  try {
    return parseToml(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const [summary] = cause.message.split("\n");
    const message = `Cannot read ${file}:${cause.line}:${cause.column}: ${summary ?? "not TOML"}\n${cause.codeblock}`;
    throw new CommandFailure(exitCodes.usage, message.trimEnd(), { cause });
  }
}

/** `members` is one value although it is a list of tables; every other table is a section. */
function leavesOf(table: Record<string, unknown>, prefix: string): readonly (readonly [string, unknown])[] {
  return Object.entries(table).flatMap(([key, value]) => {
    const path = prefix + key;
    const isSection = typeof value === "object" && value !== null && !Array.isArray(value) && prefix === "";
    return isSection ? leavesOf(value as Record<string, unknown>, `${path}.`) : [[path, value] as const];
  });
}

/** The line that sets `path`, found by its section and key; `undefined` for ways of writing TOML that hide it. */
function lineOf(text: string, path: string): number | undefined {
  const dot = path.indexOf(".");
  const wanted = dot < 0 ? "" : path.slice(0, dot);
  const key = path.slice(dot + 1);
  let section = "";
  for (const [at, line] of text.split("\n").entries()) {
    const header = /^\s*\[\[?\s*"?([^\]"]+?)"?\s*\]/.exec(line)?.[1];
    if (header !== undefined) {
      section = header;
      if (header === path) return at + 1;
    }
    const assigned = /^\s*"?([A-Za-z0-9_.-]+)"?\s*=/.exec(line)?.[1];
    if (assigned === path || (section === wanted && assigned === key)) return at + 1;
  }
  return undefined;
}

function suggestPath(path: string): string {
  const known = options.map((option) => option.path);
  // A name without its section is completed, any other is compared as a whole.
  return didYouMean(known.find((name) => name.endsWith(`.${path}`)) ?? path, known);
}

// --- environment and flags ---

/** Variables of other tools and of verbs that do not start a replica, which share our prefix. */
const otherVariables: ReadonlySet<string> = new Set(["QUORATE_ENDPOINTS", "QUORATE_CONFIG"]);

function readEnvironment(environment: SettingSources["environment"], settings: Map<string, Setting>): void {
  const names = options.map((option) => environmentNameOf(option.path));
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith("QUORATE_") || otherVariables.has(name) || text === undefined) continue;
    const option = options[names.indexOf(name)];
    if (option === undefined) {
      throw usageFailure(
        `Cannot use the environment variable ${name}: it is not an option.${suggestName(name, names)}`,
      );
    }
    settings.set(option.path, {
      path: option.path,
      value: checkValue(option, fromText(option, text), name),
      origin: name,
    });
  }
}

function suggestName(name: string, names: readonly string[]): string {
  const rest = name.slice("QUORATE_".length);
  return didYouMean(names.find((known) => known.endsWith(`__${rest}`)) ?? name, names);
}

function readFlags(flags: SettingSources["flags"], settings: Map<string, Setting>): void {
  for (const option of options) {
    const given = flags[option.flag];
    if (given === undefined) continue;
    const origin = `--${option.flag}`;
    const raw =
      typeof given === "boolean" ? given : fromText(option, typeof given === "string" ? given : given.join(";"));
    settings.set(option.path, { path: option.path, value: checkValue(option, raw, origin), origin });
  }
}

/** Text is all that environment and flags have; what does not look like its kind is left for the schema to refuse. */
function fromText(option: Option, text: string): unknown {
  switch (option.kind) {
    case "text":
      return text;
    case "count":
      return /^\d{1,15}$/.test(text) ? Number(text) : text;
    case "flag":
      return text === "true" || text === "1" ? true : text === "false" || text === "0" ? false : text;
    case "members":
      return text.split(";").map(memberFromText);
  }
}

/** `a=host:port,host:port`: the id, then where replicas and where clients reach it; its public key behind another comma. */
function memberFromText(text: string): Readonly<Record<string, string>> {
  const [id, rest] = splitOnce(text, "=");
  const [peer, places] = splitOnce(rest, ",");
  const [client, key] = splitOnce(places, ",");
  const member = { id: id.trim(), peer: peer.trim(), client: client.trim() };
  return places.includes(",") ? { ...member, key: key.trim() } : member;
}

const placeSchema = z.strictObject({ id: replicaId, peer: hostPort, client: hostPort });

/** As `memberFromText`, of a command's argument. */
export function placeOf(text: string): z.infer<typeof placeSchema> {
  const checked = placeSchema.safeParse(memberFromText(text));
  if (checked.success) return checked.data;
  throw usageFailure(`Cannot use "${text}": expected id=host:port,host:port, for replicas and for clients`);
}

const keyedPlaceSchema = placeSchema.extend({ key: z.string().refine((text) => keyOfName(text) !== undefined) });

/** With a public key behind another comma. */
export function keyedPlaceOf(text: string): z.infer<typeof keyedPlaceSchema> {
  const checked = keyedPlaceSchema.safeParse(memberFromText(text));
  if (checked.success) return checked.data;
  throw usageFailure(
    `Cannot use "${text}": expected id=host:port,host:port,ed25519:…, for replicas, for clients, and the key that quorate keygen has printed`,
  );
}

function splitOnce(text: string, mark: string): readonly [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + mark.length)];
}

function checkValue(option: Option, raw: unknown, place: string): SettingValue {
  const checked = option.schema.safeParse(raw);
  if (checked.success) return checked.data as SettingValue;
  const { issues } = checked.error;
  // A misspelled key is also a missing one: what was written says more than what was not.
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
  const message = issue?.message.replace(/^Invalid input: expected .*, received undefined$/, "is missing");
  throw usageFailure(
    `Cannot use ${option.path} from ${place}: ${placeWithin(issue?.path ?? [])}${message ?? "wrong value"}`,
  );
}

/** `member 2, peer: `: people count from one. */
function placeWithin([index, ...keys]: readonly PropertyKey[]): string {
  if (index === undefined) return "";
  return `${[`member ${Number(index) + 1}`, ...keys.map(String)].join(", ")}: `;
}

// --- reading the result ---

export function textSetting(settings: Settings, path: string): string | undefined {
  const value = settings.get(path)?.value;
  return typeof value === "string" ? value : undefined;
}

export function countSetting(settings: Settings, path: string): number {
  const value = settings.get(path)?.value;
  if (typeof value !== "number") throw new TypeError(`${path} is not a count`);
  return value;
}

export function flagSetting(settings: Settings, path: string): boolean {
  return settings.get(path)?.value === true;
}

export function membersSetting(settings: Settings): readonly MemberSetting[] {
  const value = settings.get("members")?.value;
  return Array.isArray(value) ? (value as readonly MemberSetting[]) : [];
}
