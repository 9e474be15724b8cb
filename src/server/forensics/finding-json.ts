/**
 * What a replica has kept of a difference, as JSON: over HTTP and in evidence files.
 *
 * Owns: its one form, and reading it back; nothing that is read is believed before it has that form.
 */
import { Buffer } from "node:buffer";
import { z } from "zod";
import type { AuditFinding } from "../../api/replica.js";
import type { Fingerprint } from "../../base/fingerprint.js";
import type { TrailContent, TrailEntry } from "../../model/audit.js";
import type { EntryKind } from "../../model/entry.js";
import type { LogIndex } from "../../model/ids.js";
import { decodeReply } from "../../wire/reply-codec.js";
import { trailEntryToJson } from "../../wire/trail-json.js";
import type { JsonValue } from "../machine-json.js";

/** Whose it is, and what of it was kept. */
export interface KeptFinding {
  readonly replica: string;
  readonly clusterId: string;
  /** Its name. */
  readonly machine: string;
  /** The version that executed when it was kept. */
  readonly machineVersion: number;
  readonly position: LogIndex;
  readonly foundAt: LogIndex;
  readonly agreedAt: LogIndex;
  /** Whether the states can still be had. */
  readonly hasStates: boolean;
  readonly entries: readonly TrailEntry[];
}

type Whose = Pick<KeptFinding, "replica" | "clusterId" | "machine">;

export function findingToJson(whose: Whose, finding: AuditFinding): { readonly [key: string]: JsonValue } {
  const { position, foundAt, agreedAt, machineVersion, before, after, entries } = finding;
  const hasStates = after !== undefined && (before !== undefined || agreedAt === 0);
  const { replica, clusterId, machine } = whose;
  const kept = { replica, clusterId, machine, machineVersion, position, foundAt, agreedAt, hasStates };
  return {
    ...kept,
    entries: entries.map((entry): { readonly [key: string]: JsonValue } => ({ ...trailEntryToJson(entry) })),
  };
}

const whole = z.int().min(0);
const digest = z.string().regex(/^[0-9a-f]{16}$/);
const base64 = z.base64();
const findingSchema = z.looseObject({
  replica: z.string(),
  clusterId: z.string(),
  machine: z.string(),
  machineVersion: whole,
  position: whole,
  foundAt: whole,
  agreedAt: whole,
  hasStates: z.boolean(),
  entries: z.array(
    z.looseObject({
      index: whole,
      time: whole,
      kind: z.string(),
      output: digest,
      state: digest,
      payload: base64.optional(),
      answers: z.array(z.tuple([base64, z.boolean()])).optional(),
    }),
  ),
});

/** Undefined if it is not in this form. */
export function findingFromJson(json: unknown): KeptFinding | undefined {
  const checked = findingSchema.safeParse(json);
  if (!checked.success) return undefined;
  const { replica, clusterId, machine, machineVersion, position, foundAt, agreedAt, hasStates } = checked.data;
  const entries: TrailEntry[] = [];
  for (const { index, time, kind, output, state, payload, answers } of checked.data.entries) {
    const content = payload === undefined ? undefined : contentOf(payload, answers ?? []);
    if (content === "malformed") return undefined;
    const digests = { output: digestOf(output), state: digestOf(state) };
    entries.push({ index: index as LogIndex, time, kind: kind as EntryKind, ...digests, content });
  }
  const positions = { position: position as LogIndex, foundAt: foundAt as LogIndex, agreedAt: agreedAt as LogIndex };
  return { replica, clusterId, machine, machineVersion, ...positions, hasStates, entries };
}

function contentOf(payload: string, answers: readonly (readonly [string, boolean])[]): TrailContent | "malformed" {
  const read: { reply: TrailContent["answers"][number]["reply"]; repeated: boolean }[] = [];
  for (const [text, repeated] of answers) {
    const reply = decodeReply(bytesOf(text));
    if (reply === undefined) return "malformed";
    read.push({ reply, repeated });
  }
  return { payload: bytesOf(payload), answers: read };
}

function digestOf(text: string): Fingerprint {
  return { high: Number.parseInt(text.slice(0, 8), 16) | 0, low: Number.parseInt(text.slice(8), 16) | 0 };
}

export function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

export function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}
