/**
 * The disk of a replica that does not run: what it says of the cluster, and beginning another cluster with it.
 *
 * Owns: reading what decides who counts and what is kept, as a start would read it, and the one entry that a recovery writes. Leaves to
 * others: the decision (`recovery-plan.ts`), the directory (`storage/held-directory.ts`). No machine is needed: the state is checked by its
 * hashes and not looked into, but for the members.
 */
import { defaultLimits } from "../api/config.js";
import { configurationIn } from "../execution/checkpoint-frames.js";
import type { Checkpoint } from "../model/checkpoint.js";
import { noEntry, type Entry, type EntryId } from "../model/entry.js";
import { maxIndex, noIndex, noTerm, type AgreedTime, type LogIndex, type Term } from "../model/ids.js";
import { decodeMembership, encodeMembership } from "../model/membership-codec.js";
import type { Configuration } from "../model/membership.js";
import type { Clock } from "../ports/clock.js";
import type { Disk } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";
import { CheckpointStore, ChunkDamaged, readAll } from "../storage/checkpoint-store.js";
import { holdDirectory, type HeldDirectory, type HoldRefused } from "../storage/held-directory.js";
import { readKnown, type Known } from "../storage/known-store.js";
import type { LogStore, RecoveredLog, StorageFailure } from "../storage/log-store.js";
import { openLog } from "../storage/wal.js";
import { decodeReport } from "../wire/checkpoint-codec.js";
import type { Recovery, Survivor } from "./recovery-plan.js";

export interface SurvivorPorts {
  readonly disk: Disk;
  readonly hash: Hash;
  readonly clock: Clock;
}

export interface HeldSurvivor {
  readonly kind: "survivor";
  readonly survivor: Survivor;
  readonly directory: HeldDirectory;
  /**
   * Does its part: the record and the new cluster id, and then, if it is the source, the entry that makes the new members. All of it is
   * durable when `done` is called without a failure; cut short anywhere, it is done again. `text`: what the record keeps.
   */
  goOn(recovery: Recovery, text: string, done: (failure: StorageFailure | undefined) => void): void;
  /** The lock is given back before `done` is called. */
  close(done: () => void): void;
}

/** Keeps every other process out until it is closed. Throws `DiskError` if the disk fails. */
export function holdSurvivor(ports: SurvivorPorts, path: string): HeldSurvivor | HoldRefused {
  const directory = holdDirectory(ports.disk, ports.hash, path);
  if (directory.kind === "refused") return directory;
  try {
    const held = holdLog(ports, path, directory);
    if (held.kind === "refused") directory.release();
    return held;
  } catch (cause) {
    directory.release();
    throw cause;
  }
}

function holdLog(ports: SurvivorPorts, path: string, directory: HeldDirectory): HeldSurvivor | HoldRefused {
  const { disk, hash } = ports;
  const { identity } = directory;
  const { storage, raft } = defaultLimits;
  const opened = openLog({
    ...ports,
    ...storage,
    // One entry is written at most: no further segment is prepared for it.
    reserveBytes: 0,
    directory: path,
    logIdentity: identity.logIdentity,
    cacheBytes: raft.logCacheBytes,
  });
  if (opened.kind === "refused") return opened;
  const { log, recovered } = opened;
  if (recovered.amnesia !== undefined) {
    log.close(() => {});
    const fact = `its log may have forgotten what it promised (${recovered.amnesia}): this disk counts as lost`;
    return { kind: "refused", message: `Cannot use the data directory ${path}: ${fact}` };
  }
  const parts = { disk, hash, directory: path };
  const state = readState(new CheckpointStore(parts), recovered, readKnown(parts));
  const { last, time, flaw } = endOf(recovered, state);
  return {
    kind: "survivor",
    directory,
    survivor: {
      clusterId: identity.clusterId,
      machine: identity.machine,
      id: identity.replicaId,
      incarnation: identity.incarnation,
      term: recovered.hardState.term,
      last,
      committed: state.committed,
      executed: state.executed,
      configuration: newestConfigurationOf(directory, recovered, state),
      flaw,
    },
    goOn({ to, lost, source, entry, members }, text, done) {
      if (identity.clusterId !== to) directory.giveTo(to, { lost, text });
      const hasEntry = entry.index <= state.executed || termAt(recovered, entry.index) === entry.term;
      if (source !== identity.replicaId || hasEntry) return done(undefined);
      const hardState = { term: entry.term, votedFor: identity.replicaId };
      const payload = encodeMembership({ members });
      const made: Entry = { ...entry, kind: "configuration", time, payload };
      const resetTo = state.replacesLog ? last : undefined;
      log.write({ id: 1, hardState, resetTo, truncateFrom: undefined, entries: [made] }, done);
    },
    close: (done) => close(log, directory, done),
  };
}

function close(log: LogStore, directory: HeldDirectory, done: () => void): void {
  log.close(() => {
    directory.release();
    done();
  });
}

interface FoundState {
  /** The newest checkpoint that is whole. */
  readonly checkpoint: Checkpoint | undefined;
  /** Who the members are as it says; undefined if it leaves them to the founders. */
  readonly configuration: Configuration | undefined;
  /** A start would put the checkpoint in the log's place: its last entry is not in it (hazard S3). */
  readonly replacesLog: boolean;
  readonly committed: LogIndex;
  readonly executed: LogIndex;
}

/** Every byte of it is read. */
function readState(store: CheckpointStore, recovered: RecoveredLog, known: Known): FoundState {
  const committed = committedIn(store, recovered, known);
  const executed = maxIndex(recovered.start.index, store.newest?.last.index ?? noIndex);
  for (const checkpoint of store.all) {
    try {
      const found = configurationIn(readAll(store, checkpoint.chunks));
      if (found === undefined) continue;
      const configuration = found.index > noIndex ? found : undefined;
      const { index, term } = checkpoint.last;
      const replacesLog = index > recovered.start.index && termAt(recovered, index) !== term;
      return { checkpoint, configuration, replacesLog, committed, executed };
    } catch (cause) {
      if (!(cause instanceof ChunkDamaged)) throw cause;
    }
  }
  return { checkpoint: undefined, configuration: undefined, replacesLog: false, committed, executed };
}

/** As it noted itself when it lost a peer; and only what is committed is executed, and only what is executed is given back, kept in a checkpoint, or reported. */
function committedIn(store: CheckpointStore, { start, tail }: RecoveredLog, { commitIndex }: Known): LogIndex {
  const known = [
    start.index,
    commitIndex,
    store.certificate?.index ?? noIndex,
    ...store.all.map(({ last }) => last.index),
  ];
  for (const { kind, payload } of tail) {
    if (kind === "report") known.push(decodeReport(payload)?.index ?? noIndex);
  }
  return known.reduce(maxIndex, noIndex);
}

interface LogEnd {
  readonly last: EntryId;
  /** Agreed time of `last`. */
  readonly time: AgreedTime;
  readonly flaw: string | undefined;
}

function endOf(recovered: RecoveredLog, { checkpoint, replacesLog }: FoundState): LogEnd {
  const { lastIndex, start, tail, damaged } = recovered;
  const newest = tail.at(-1);
  const last =
    replacesLog && checkpoint !== undefined
      ? checkpoint.last
      : { index: lastIndex, term: termAt(recovered, lastIndex) ?? noTerm };
  const isCheckpoint = checkpoint?.last.index === last.index;
  const time = newest?.index === last.index ? newest.time : isCheckpoint ? checkpoint.time : 0;
  const at = (flaw: string | undefined): LogEnd => ({ last, time, flaw });
  if ((checkpoint?.last.index ?? noIndex) < start.index) return at(`its state up to entry ${start.index} is damaged`);
  const left = replacesLog ? [] : damaged.filter(({ index }) => index > (checkpoint?.last.index ?? noIndex));
  const [first] = left;
  return at(
    first === undefined ? undefined : `${left.length} entries of its log are damaged, the first is ${first.index}`,
  );
}

function newestConfigurationOf(
  { identity }: HeldDirectory,
  { configurations }: RecoveredLog,
  { configuration, replacesLog }: FoundState,
): Configuration {
  const newest = replacesLog ? undefined : configurations.at(-1);
  const membership = newest === undefined ? undefined : decodeMembership(newest.payload);
  const isNewer = newest !== undefined && newest.index > (configuration?.index ?? noIndex);
  if (membership !== undefined && isNewer) return { index: newest.index, term: newest.term, membership };
  return configuration ?? { ...noEntry, membership: identity.membership };
}

function termAt({ start, lastIndex, terms }: RecoveredLog, index: LogIndex): Term | undefined {
  if (index === start.index) return start.term;
  if (index < start.index || index > lastIndex) return undefined;
  return terms.findLast(({ firstIndex }) => firstIndex <= index)?.term;
}
