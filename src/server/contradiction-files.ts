/**
 * Files of contradictions: what `quorate evidence` reads.
 *
 * Owns: which files of a directory are read, and turning a line into a contradiction. Lines may come from anywhere, so each is
 * either one of exactly this form, or it is said why not. Leaves to others: whether it holds (`authentication/evidence.ts`).
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Contradiction } from "../authentication/evidence.js";
import { bytesOfHex } from "../base/bytes.js";
import { isReplicaId } from "../model/ids.js";
import { keyOfName } from "../wire/key-name.js";
import { usageFailure } from "./exit-codes.js";

export interface EvidenceLine {
  /** `file:line`. */
  readonly place: string;
  /** Or why the line holds none. */
  readonly contradiction: Contradiction | string;
}

const membersMax = 64;
const hex = z.string().transform((text, context) => {
  const bytes = bytesOfHex(text);
  if (bytes === undefined) context.addIssue({ code: "custom", message: "expected hexadecimal digits" });
  return bytes ?? new Uint8Array(0);
});
const signedSchema = z.strictObject({ signed: hex, signature: hex });
const lineSchema = z.strictObject({
  quorate: z.literal("contradiction"),
  version: z.literal(1),
  by: z.string().refine(isReplicaId, { message: "expected a replica's name" }),
  key: z.string().transform((text, context) => {
    const key = keyOfName(text);
    if (key === undefined) context.addIssue({ code: "custom", message: "expected a public key" });
    return key ?? new Uint8Array(0);
  }),
  replicas: z.int().min(1).max(membersMax),
  first: signedSchema,
  second: signedSchema,
});

/** Each path is a file, or a directory whose files end in `.jsonl`. @throws CommandFailure for a path that cannot be read. */
export function readContradictions(paths: readonly string[]): readonly EvidenceLine[] {
  return paths.flatMap(filesOf).flatMap((file) =>
    textOf(file)
      .split("\n")
      .map((text, at) => ({ text, place: `${file}:${at + 1}` }))
      .filter(({ text }) => text.trim() !== "")
      .map(({ text, place }) => ({ place, contradiction: contradictionOf(text) })),
  );
}

function contradictionOf(text: string): Contradiction | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "the line is not JSON";
  }
  const read = lineSchema.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  return `the line holds no contradiction: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`;
}

function filesOf(path: string): readonly string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path).filter((name) => name.endsWith(".jsonl"));
    return names.sort().map((name) => join(path, name));
  } catch (cause) {
    throw usageFailure(`Cannot read ${path}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw usageFailure(`Cannot read ${file}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}
