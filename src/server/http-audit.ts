/**
 * What a replica has kept of a difference, over HTTP: for `quorate audit`, which compares two of them.
 *
 * Owns: the answers. A state is walked through a chunk at a time, and other work goes on in between; sums say which part of it is worth
 * asking for. Leaves to others: routes (`http.ts`), comparing (`forensics/`).
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { MachineFork } from "../api/low-level.js";
import type { Replica } from "../api/replica.js";
import { entriesInChunks, type NamedEntry } from "../collections/snapshot-format.js";
import { encodeValue } from "../wire/canonical.js";
import { bucketOf, SumsOfState } from "./forensics/compare.js";
import { base64Of, findingToJson } from "./forensics/finding-json.js";
import { refusedAnswer, type HttpAnswer } from "./http-answers.js";
import { toMachineJson, type JsonValue } from "./machine-json.js";

export interface HttpAudit {
  finding(): HttpAnswer;
  /** Sums of the keys behind the entry at which the difference was found. */
  sums(): Promise<HttpAnswer>;
  /** The keys in these buckets, each as "12:collection". */
  entries(buckets: readonly string[]): Promise<HttpAnswer>;
  /** The state before the difference: a chunk in each line. */
  state(): Response | HttpAnswer;
}

const entriesBytesMax = 4 * 1024 * 1024;

export function openHttpAudit(replica: Pick<Replica, "finding" | "status">): HttpAudit {
  return {
    finding: () => {
      const finding = replica.finding();
      if (finding === undefined)
        return refusedAnswer(404, "NO_FINDING", "Nothing was found to differ since this replica was started");
      const { id, clusterId, machine } = replica.status();
      return {
        status: 200,
        body: findingToJson({ replica: id, clusterId, machine: machine.name }, finding),
        headers: {},
      };
    },
    sums: async () => {
      const after = replica.finding()?.after;
      if (after === undefined) return noState;
      const sums = new SumsOfState();
      for await (const entry of walk(after)) sums.add(entry);
      const collections = [...sums.sums].map(([name, { count, sums: words }]) => [
        name,
        { count, sums: base64Of(new Uint8Array(words.buffer, words.byteOffset, words.byteLength)) },
      ]);
      return { status: 200, body: { collections: Object.fromEntries(collections) as JsonValue }, headers: {} };
    },
    entries: async (buckets) => {
      const after = replica.finding()?.after;
      if (after === undefined) return noState;
      const wanted = new Set(buckets);
      const found: JsonValue[] = [];
      let bytes = 0;
      for await (const { name, key, value } of walk(after)) {
        if (bytes > entriesBytesMax || !wanted.has(`${bucketOf(key)}:${name}`)) continue;
        bytes += encodeValue(value).length + encodeValue(key).length;
        found.push({ collection: name, key: toMachineJson(key), value: toMachineJson(value) });
      }
      return { status: 200, body: { entries: found, isCut: bytes > entriesBytesMax }, headers: {} };
    },
    state: () => {
      const before = replica.finding()?.before;
      if (before === undefined) return noState;
      return new Response(ReadableStream.from(linesOf(before)), { headers: { "Content-Type": "text/plain" } });
    },
  };
}

const noState = refusedAnswer(409, "NO_STATE", "The states of the difference are no longer kept");

async function* walk(fork: MachineFork): AsyncGenerator<NamedEntry, void> {
  for (const chunk of fork.chunks()) {
    yield* entriesInChunks([chunk]);
    await nextTurn();
  }
}

async function* linesOf(fork: MachineFork): AsyncGenerator<Uint8Array, void> {
  const encoder = new TextEncoder();
  for (const chunk of fork.chunks()) {
    yield encoder.encode(`${base64Of(chunk)}\n`);
    await nextTurn();
  }
}
