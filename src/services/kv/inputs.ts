/**
 * What the machine's commands and queries are given, and the checks of it before it is ordered.
 *
 * Owns: the shapes of inputs, as Standard Schema validators. Leaves to others: what is done with them (`typed.ts`, `run.ts`).
 */
import type { StandardSchema } from "../../index.js";
import { kvLimits } from "./limits.js";
import type { Watched } from "./run.js";

export interface SetInput {
  readonly key: string;
  readonly value: string;
  /** The key ceases to exist after so many milliseconds of agreed time; from 1. */
  readonly ttlMs?: number | undefined;
  /** Writes only if the key is absent, is present, or has this version. */
  readonly when?: "absent" | "present" | { readonly version: number } | undefined;
}

export interface DeleteInput {
  readonly keys: readonly string[];
}

export interface IncrementInput {
  readonly key: string;
  /** 1 if it is not given. */
  readonly by?: number | bigint | undefined;
}

export interface ExpireInput {
  readonly key: string;
  /** Milliseconds of agreed time from now, from 1; `null`: never. */
  readonly ttlMs: number | null;
}

export interface KeysInput {
  /** As in Redis: `*`, `?`, `[a-z]`. All keys if it is not given. */
  readonly match?: string | undefined;
  /** What the answer before called `next`. */
  readonly from?: number | undefined;
}

/** Redis commands, name first, one character for each byte. With `watch` they are one transaction. */
export interface RedisInput {
  readonly commands: readonly (readonly string[])[];
  /** Keys and the versions they must still have (the query `redisRead` answers versions to `["WATCH", key, …]`). */
  readonly watch?: readonly Watched[] | undefined;
}

export const setInput = schema<SetInput>((input) => {
  const { key, value, ttlMs, when } = fieldsOf(input);
  if (!isText(key)) return "key must be a string";
  if (!isText(value)) return "value must be a string";
  if (value.length > kvLimits.valueBytesMax) return `value must be at most ${kvLimits.valueBytesMax} bytes`;
  if (ttlMs !== undefined && !isCount(ttlMs, 1)) return "ttlMs must be a whole number from 1";
  if (when === undefined || when === "absent" || when === "present") return undefined;
  return isCount(fieldsOf(when)["version"], 0) ? undefined : 'when must be "absent", "present", or { version }';
});

export const deleteInput = schema<DeleteInput>((input) => {
  const { keys } = fieldsOf(input);
  return Array.isArray(keys) && keys.every(isText) ? undefined : "keys must be an array of strings";
});

export const incrementInput = schema<IncrementInput>((input) => {
  const { key, by } = fieldsOf(input);
  if (!isText(key)) return "key must be a string";
  return by === undefined || typeof by === "bigint" || Number.isSafeInteger(by)
    ? undefined
    : "by must be a whole number";
});

export const expireInput = schema<ExpireInput>((input) => {
  const { key, ttlMs } = fieldsOf(input);
  if (!isText(key)) return "key must be a string";
  return ttlMs === null || isCount(ttlMs, 1) ? undefined : "ttlMs must be a whole number from 1, or null";
});

export const getInput = schema<string>((input) => (isText(input) ? undefined : "the key must be a string"));

export const keysInput = schema<KeysInput | undefined>((input) => {
  if (input === undefined) return undefined;
  const { match, from } = fieldsOf(input);
  if (match !== undefined && !isText(match)) return "match must be a string";
  return from === undefined || isCount(from, 0) ? undefined : "from must be a whole number from 0";
});

export const redisInput = schema<RedisInput>((input) => {
  const { commands, watch } = fieldsOf(input);
  if (!isCommands(commands)) return commandsFault;
  return watch === undefined || (Array.isArray(watch) && watch.every(isWatched))
    ? undefined
    : "watch must be an array of [key, version]";
});

export const redisReadInput = schema<readonly (readonly string[])[]>((input) =>
  isCommands(input) ? undefined : commandsFault,
);

const commandsFault = "commands must be an array of arrays of strings, one character for each byte";

function schema<Input>(faultOf: (value: unknown) => string | undefined): StandardSchema<Input> {
  return {
    "~standard": {
      version: 1,
      vendor: "quorate",
      validate: (value) => {
        const fault = faultOf(value);
        return fault === undefined ? { value: value as Input } : { issues: [{ message: fault }] };
      },
    },
  };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isCount(value: unknown, min: number): value is number {
  return Number.isSafeInteger(value) && Number(value) >= min;
}

function isCommands(value: unknown): boolean {
  return Array.isArray(value) && value.every((argv) => Array.isArray(argv) && argv.every(isBytes));
}

function isBytes(value: unknown): boolean {
  if (!isText(value)) return false;
  for (let at = 0; at < value.length; at += 1) if (value.charCodeAt(at) > 0xff) return false;
  return true;
}

function isWatched(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && isBytes(value[0]) && isCount(value[1], 0);
}
