/**
 * Replicas that do nothing but repair one another: each with a log of which some entries are damaged.
 *
 * Messages and reads are carried out by `run`, one round per step of the clock, so a test decides who hears whom.
 */
import { encodeUtf8 } from "../src/base/bytes.js";
import type { Entry } from "../src/model/entry.js";
import { logIndex, type LogIndex, type ReplicaId } from "../src/model/ids.js";
import type { DamagedEntry } from "../src/model/log.js";
import { nodeHash } from "../src/node/hash.js";
import { Repair, type RepairEffect } from "../src/replica/repair.js";
import type { LogStore, StorageFailure } from "../src/storage/log-store.js";
import { entryChecksum } from "../src/storage/wal-format.js";
import { rawEntry } from "./order.js";

export const repairLimits = { requestsInFlightMax: 4, readsInFlightMax: 4, replyMsMin: 100, replyMsMax: 2000 };

export interface RepairingReplica {
  readonly id: ReplicaId;
  /** Undefined where the entry is damaged. */
  readonly entries: Map<number, Entry | undefined>;
  readonly repair: Repair;
  /** What it sent, as `to:kind byte`. */
  sent: number;
}

export function textEntry(index: number, text = `entry ${index}`): Entry {
  return rawEntry(index, index * 10, { kind: "batch", payload: encodeUtf8(text) });
}

export function nameOf(entry: Entry): DamagedEntry {
  return { index: entry.index, term: entry.term, checksum: entryChecksum(nodeHash, entry) };
}

export function indexOf(value: number): LogIndex {
  const index = logIndex(value);
  if (index === undefined) throw new Error(`no index: ${value}`);
  return index;
}

/** Each replica has entries 1 to `length`, except that those in `damaged` are named but lost. */
export function repairGroup(length: number, damaged: Readonly<Record<ReplicaId, readonly number[]>>): RepairGroup {
  return new RepairGroup(length, damaged);
}

export class RepairGroup {
  readonly replicas = new Map<ReplicaId, RepairingReplica>();
  readonly cut = new Set<ReplicaId>();
  /** Changes what a replica answers, as a faulty disk or build would. */
  corrupt: (from: ReplicaId, payload: Uint8Array) => Uint8Array = (_from, payload) => payload;
  now = 0;
  /** What operators were told. */
  readonly reports: string[] = [];
  #reads: (() => void)[] = [];

  constructor(length: number, damaged: Readonly<Record<ReplicaId, readonly number[]>>) {
    const ids = Object.keys(damaged);
    for (const id of ids) {
      const lost = damaged[id] ?? [];
      const entries = new Map<number, Entry | undefined>();
      for (let index = 1; index <= length; index += 1)
        entries.set(index, lost.includes(index) ? undefined : textEntry(index));
      const repair = new Repair({
        damaged: lost.map((index) => nameOf(textEntry(index))),
        peers: () => ids.filter((other) => other !== id),
        log: this.#logOf(entries),
        hash: nodeHash,
        seed: 7,
        limits: repairLimits,
      });
      this.replicas.set(id, { id, entries, repair, sent: 0 });
    }
  }

  of(id: ReplicaId): RepairingReplica {
    const replica = this.replicas.get(id);
    if (replica === undefined) throw new Error(`no replica ${id}`);
    return replica;
  }

  /** Lets time pass in steps of ten milliseconds. */
  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 10) {
      const reads = this.#reads;
      this.#reads = [];
      for (const read of reads) read();
      for (const replica of this.replicas.values()) {
        for (const effect of replica.repair.step(this.now)) this.#perform(replica, effect);
      }
    }
  }

  #perform(replica: RepairingReplica, effect: RepairEffect): void {
    if (effect.kind === "write") {
      replica.entries.set(effect.entry.index, effect.entry);
      this.#reads.push(() => replica.repair.written(effect.entry.index));
      return;
    }
    if (effect.kind === "unavailable") {
      this.reports.push(`${replica.id}: ${effect.index}`);
      return;
    }
    replica.sent += 1;
    if (this.cut.has(replica.id) || this.cut.has(effect.to)) return;
    this.of(effect.to).repair.receive(replica.id, this.corrupt(replica.id, effect.payload), this.now);
  }

  #logOf(entries: Map<number, Entry | undefined>): Pick<LogStore, "read"> {
    return {
      read: (from, _bytesMax, done) => {
        this.#reads.push(() => {
          const entry = entries.get(from);
          if (entry !== undefined) return done([entry]);
          if (!entries.has(from)) return done([]);
          const failure: StorageFailure = { kind: "storageFailure", code: "damaged", message: "damaged" };
          return done(failure);
        });
      },
    };
  }
}
