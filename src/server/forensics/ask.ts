/**
 * Asks replicas what they have kept of a difference.
 *
 * Owns: the calls, and checking what comes back. Leaves to others: comparing (`compare.ts`), texts (`report.ts`).
 */
import { z } from "zod";
import type { NamedEntry } from "../../collections/snapshot-format.js";
import { readMachineJson } from "../machine-json.js";
import type { Bucket, StateSums } from "./compare.js";
import { bytesOf, findingFromJson, type KeptFinding } from "./finding-json.js";

/** A large state takes its time. */
const answerMsMax = 120_000;
/** So many parts of the state are looked at key by key. */
export const bucketsMax = 32;
const depthMax = 80;

export interface AskedFinding extends KeptFinding {
  readonly endpoint: string;
}

/** Undefined if it has none, or does not answer. */
export async function askFinding(endpoint: string): Promise<AskedFinding | undefined> {
  const text = await get(endpoint, "finding");
  const finding = text === undefined ? undefined : findingFromJson(JSON.parse(text));
  return finding === undefined ? undefined : { ...finding, endpoint };
}

const sumsSchema = z.looseObject({
  collections: z.record(z.string(), z.object({ count: z.int(), sums: z.base64() })),
});

export async function askSums(endpoint: string): Promise<StateSums | undefined> {
  const text = await get(endpoint, "sums");
  const checked = text === undefined ? undefined : sumsSchema.safeParse(JSON.parse(text));
  if (checked?.success !== true) return undefined;
  const { collections } = checked.data;
  return new Map(
    Object.entries(collections).map(([name, { count, sums }]) => [
      name,
      { count, sums: new Int32Array(bytesOf(sums).buffer) },
    ]),
  );
}

const entriesSchema = z.looseObject({
  entries: z.array(z.looseObject({ collection: z.string(), key: z.unknown(), value: z.unknown() })),
});

/** Of the first buckets. */
export async function askEntries(
  endpoint: string,
  buckets: readonly Bucket[],
): Promise<readonly NamedEntry[] | undefined> {
  const query = buckets
    .slice(0, bucketsMax)
    .map(({ collection, bucket }) => `bucket=${encodeURIComponent(`${bucket}:${collection}`)}`);
  const text = await get(endpoint, `entries?${query.join("&")}`);
  const checked = text === undefined ? undefined : entriesSchema.safeParse(JSON.parse(text));
  if (checked?.success !== true) return undefined;
  return checked.data.entries.map(({ collection, key, value }) => ({
    name: collection,
    key: valueOf(key),
    value: valueOf(value),
  }));
}

/** The state before the difference, a chunk in each line; undefined if it is not to be had. */
export async function askState(endpoint: string): Promise<readonly string[] | undefined> {
  const text = await get(endpoint, "state");
  return text?.trim().split("\n");
}

async function get(endpoint: string, what: string): Promise<string | undefined> {
  try {
    const response = await fetch(`http://${endpoint}/v1/audit/${what}`, { signal: AbortSignal.timeout(answerMsMax) });
    return response.ok ? await response.text() : undefined;
  } catch {
    return undefined;
  }
}

function valueOf(json: unknown): unknown {
  const reading = readMachineJson(JSON.stringify(json), depthMax);
  return reading.status === "read" ? reading.value : undefined;
}
