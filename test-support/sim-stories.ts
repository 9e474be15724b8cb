/** For stories of whole clusters (`test/scenario/sim-*.test.ts`): who talks to whom, logs of known content, and where an entry lies on a disk. */
import { term as termOf, type ReplicaId } from "../src/model/ids.js";
import { calmNetwork, type NetworkPlan } from "../src/sim/plan.js";
import { scenario, type Scenario, type ScenarioOptions } from "../src/sim/scenario.js";
import { simHash } from "../src/sim/sim-hash.js";
import type { standardMachine } from "../src/sim/standard-machine.js";
import { chooseSlot, encodeHardStateFile, hardStateName, type StoredHardState } from "../src/storage/hard-state.js";
import { decodeIdentity, identityBytesMax } from "../src/storage/identity.js";
import {
  decodeSegmentHeader,
  isEntryKind,
  recordHeaderBytes,
  type FormatContext,
  type RecordKind,
} from "../src/storage/wal-format.js";
import { scanSegment } from "../src/storage/wal-scan.js";

export type Story = Scenario<typeof standardMachine>;

/** Short time-outs, so that a story of many elections takes little simulated time. */
export const quick = { heartbeatMs: 20, electionTimeoutMsMin: 100, electionTimeoutMsMax: 200 } as const;

/** A network in which a message takes so long that a story can act while it is under way. */
export function network(delayMsMin: number, delayMsMax = delayMsMin): NetworkPlan {
  return { ...calmNetwork, delayMsMin, delayMsMax };
}

/** A group in which each replica has a client of its own, which reaches no other replica, whatever it is told of a leader. */
export function groupWithClients(options: Omit<ScenarioOptions<typeof standardMachine>, "clients">): Story {
  const replicas = ["a", "b", "c", "d", "e"].slice(0, options.replicas ?? 3);
  const group = scenario({ ...options, clients: replicas.map((id) => [id]) });
  for (const id of replicas) {
    const { id: client } = group.client(clientOf(group, id));
    for (const other of group.others(id)) {
      group.world.block(client, other);
      group.world.block(other, client);
    }
  }
  return group;
}

/** The number of the client that reaches this replica only. */
export function clientOf(group: Story, id: ReplicaId): number {
  return group.replicas.indexOf(id) + 1;
}

/** Appends to the text "t" that must be executed, one after the other. */
export function append(group: Story, count: number, from = 1): void {
  const length = String(group.call({ query: "get", input: { key: "t" } }, { from })).length;
  const asked = Array.from({ length: count }, (_, at) => {
    return group.ask({ command: "append", input: { key: "t", value: wordOf(length / wordLength + at + 1) } }, { from });
  });
  for (const output of group.untilEnded(asked))
    if (output !== undefined) throw new Error(`An append ended as ${JSON.stringify(output)}`);
}

/** What `append` has made of the text "t" after so many words. */
export function textOf(count: number): string {
  return Array.from({ length: count }, (_, at) => wordOf(at + 1)).join("");
}

export function text(group: Story, from = 1): unknown {
  return group.call({ query: "get", input: { key: "t" } }, { from });
}

const wordLength = 5;

/** All words have one length, so all their records have. */
export function wordOf(number: number): string {
  return `${String(number).padStart(wordLength - 1, "0")},`;
}

/** A group of one command an entry and of small segments, whose text "t" has so many words that everybody has executed. */
export function groupOf(words: number, options: ScenarioOptions<typeof standardMachine>): Story {
  const { limits } = options;
  const admission = { batchCountMax: 1, ...limits?.admission };
  const storage = { segmentBytes: 32_768, reserveBytes: 4_096, ...limits?.storage };
  const group = scenario({ ...options, limits: { ...limits, admission, storage } });
  group.untilLeader();
  if (words > 0) append(group, words);
  // The last write is known to be durable once a marker says so.
  return group.untilQuiet().pass(50);
}

/** Where a record lies: offsets in the file. */
interface RecordOnDisk {
  readonly path: string;
  readonly kind: RecordKind;
  readonly index: number;
  readonly at: number;
  readonly bodyAt: number;
  readonly end: number;
}

/** The records of a replica's log, in the order of their places. */
export function recordsOf(group: Story, id: ReplicaId): readonly RecordOnDisk[] {
  const context = contextOf(group, id);
  const disk = group.disk(id);
  const directory = `${group.replica(id).dataDir}/log`;
  return disk.list(directory).flatMap((name) => {
    const path = `${directory}/${name}`;
    const bytes = disk.bytesOf(path);
    const segment = decodeSegmentHeader(bytes, context);
    if (segment.kind !== "segment") return [];
    const { base } = segment.header;
    return [...scanSegment(bytes, base, context)].map(({ header: { kind, index, position }, end }) => {
      return { path, kind, index, at: position - base, bodyAt: position - base + recordHeaderBytes, end: end - base };
    });
  });
}

/** What makes the records of this replica's log its own. */
function contextOf(group: Story, id: ReplicaId): FormatContext {
  const bytes = group.disk(id).bytesOf(`${group.replica(id).dataDir}/identity`);
  const decoded = decodeIdentity(bytes.subarray(0, identityBytesMax), simHash);
  if (decoded.kind !== "identity") throw new Error(`The identity of ${id} is ${decoded.kind}`);
  return { hash: simHash, logIdentity: decoded.identity.logIdentity };
}

/** Another term and vote on the disk of a replica that does not run. */
export function rewriteHardState(
  group: Story,
  id: ReplicaId,
  rewrite: (found: StoredHardState) => StoredHardState,
): void {
  const path = `${group.replica(id).dataDir}/${hardStateName}`;
  const context = contextOf(group, id);
  const found = chooseSlot(group.disk(id).bytesOf(path), context);
  if (found.kind === "lost") throw new Error(`The hard state of ${id} is lost`);
  const bytes = encodeHardStateFile(rewrite(found.stored), context);
  group.spoil(id).damage(path, (file) => file.set(bytes));
}

/** As if these replicas, which do not run, had seen so many elections. */
export function rewriteTerms(group: Story, value: number): void {
  const term = termOf(value);
  if (term === undefined) throw new RangeError(`${value} is no term`);
  for (const id of group.replicas) {
    rewriteHardState(group, id, ({ sequence }) => ({
      sequence: sequence + 1,
      hardState: { term, votedFor: undefined },
    }));
  }
}

/** The newest record of entry `index`. */
export function entryOf(group: Story, id: ReplicaId, index: number): RecordOnDisk {
  const found = recordsOf(group, id).findLast((record) => record.index === index && isEntryKind(record.kind));
  if (found === undefined) throw new Error(`${id} has no entry ${index} on its disk`);
  return found;
}

/** One bit of an entry's content, or of its header, is another one on this disk. */
export function flip(
  group: Story,
  id: ReplicaId,
  { index, part }: { readonly index: number; readonly part: "body" | "header" },
): void {
  const { path, at, bodyAt } = entryOf(group, id, index);
  group.spoil(id).flipBit(path, part === "body" ? bodyAt + 2 : at + 20, 3);
}
