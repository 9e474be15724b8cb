/**
 * What can be replayed: entries, and the states from which execution can begin.
 *
 * Owns: the contract, and the one of data directories. Nothing of the directory is changed and no lock is taken, so the directory of a running replica
 * can be read too: then it is seen as it was at that moment. Leaves to others: executing (`replayer.ts`).
 */
import type { ReplicatedLimits } from "../../api/config.js";
import type { LowLevelMachine, MachineFork } from "../../api/low-level.js";
import { doAll } from "../../base/steps.js";
import { installFrames } from "../../execution/checkpoint-frames.js";
import { Executor, type Executed } from "../../execution/executor.js";
import type { SessionView } from "../../execution/session-view.js";
import type { AuditDigest, TrailEntry } from "../../model/audit.js";
import type { Checkpoint } from "../../model/checkpoint.js";
import type { Entry } from "../../model/entry.js";
import { after, noIndex, type AgreedTime, type LogIndex } from "../../model/ids.js";
import type { Unfinished } from "../../model/skip.js";
import type { Configuration, Membership } from "../../model/membership.js";
import { readingDisk } from "../../node/disk.js";
import { holderOf } from "../../node/disk-lock.js";
import { nodeHash } from "../../node/hash.js";
import { DiskError } from "../../ports/disk.js";
import { CheckpointStore, ChunkDamaged, readAll } from "../../storage/checkpoint-store.js";
import { identityName } from "../../storage/data-dir.js";
import { decodeIdentity, identityBytesMax, type Identity } from "../../storage/identity.js";
import { openLogToRead, type ReadableLog } from "../../storage/read-log.js";
import { CommandFailure, exitCodes } from "../exit-codes.js";

export interface ReplaySource {
  readonly path: string;
  readonly clusterId: string;
  readonly replicaId: string;
  /** Its name. */
  readonly machine: string;
  readonly founders: Membership;
  /** Ascending; one or more. */
  readonly starts: readonly ReplayStart[];
  readonly lastIndex: LogIndex;
  /** What whoever reads should know, for people. */
  readonly notes: readonly string[];
  /** In order; returns why it ended before the last, if it did. */
  entries(from: LogIndex): AsyncGenerator<Entry, string | undefined>;
  /** What replicas remembered of an entry, in evidence. */
  remembered?(index: LogIndex): readonly { readonly replica: string; readonly entry: TrailEntry }[];
  /** The state that the replica had behind the last entry, in evidence: in chunks. */
  readonly kept?: readonly Uint8Array[];
  close(): void;
}

/** A state from which the entry behind `index` can be executed. */
export interface ReplayStart {
  readonly index: LogIndex;
  /** Answers why not, if it could not. */
  open(parts: ReplayParts): ReplayExecutor | string;
}

/** Of a data directory everything that is replicated is executed. */
export interface DirectorySource extends ReplaySource {
  readonly starts: readonly DirectoryStart[];
}

interface DirectoryStart extends ReplayStart {
  open(parts: ReplayParts): Executor | string;
}

export interface ReplayParts {
  readonly machine: LowLevelMachine;
  readonly limits: ReplicatedLimits;
}

/** What `Executor` is to a replay; of evidence the machine alone is executed. */
export interface ReplayExecutor {
  readonly executedIndex: LogIndex;
  readonly time: AgreedTime;
  readonly broken: string | undefined;
  readonly sessions: Pick<SessionView, "state">;
  readonly audits: { readonly due: AuditDigest | undefined };
  execute(entry: Entry): readonly Executed[];
  fork(): { readonly machine: MachineFork; release(): void };
  readonly unfinished?: Unfinished | undefined;
  /** With `hold`, for what the log says is skipped. */
  readonly reports?: { encode(): Uint8Array[] };
  readonly configuration?: Configuration;
  hold?(unfinished: Unfinished, isSkipped: boolean): void;
}

const readBytes = 4 * 1024 * 1024;
const checkpointsName = "checkpoints";
/** A replica that runs may remove files while they are found. */
const attemptsMax = 5;

/** @throws CommandFailure */
export function openDirectory(path: string): DirectorySource {
  for (let attempt = 1; ; attempt += 1) {
    const holder = holderIn(path);
    try {
      return openAs(path, holder);
    } catch (cause) {
      const isMoving = cause instanceof DiskError && cause.code === "notFound" && holder !== undefined;
      if (!isMoving || attempt === attemptsMax) throw cause;
    }
  }
}

function openAs(path: string, holder: number | undefined): DirectorySource {
  const identity = identityIn(path);
  // First the log: if it is cut meanwhile, the checkpoint that covers it is found all the same.
  const log = openLogToRead({ disk: readingDisk, hash: nodeHash, directory: path, logIdentity: identity.logIdentity });
  if (log.kind === "refused") throw new CommandFailure(exitCodes.dataRefused, log.message, {});
  return {
    path,
    ...{ clusterId: identity.clusterId, replicaId: identity.replicaId, machine: identity.machine },
    founders: identity.membership,
    starts: startsIn(path, identity.membership, log),
    lastIndex: log.lastIndex,
    notes: notesOf(path, holder, log),
    entries: (from) => entriesOf(log, from),
    close: () => log.close(),
  };
}

function holderIn(path: string): number | undefined {
  return readingDisk.exists(path) ? holderOf(path) : undefined;
}

function identityIn(path: string): Identity {
  const file = `${path}/${identityName}`;
  if (!readingDisk.exists(file)) throw refused(path, "it is no data directory of a replica");
  const decoded = decodeIdentity(readingDisk.readFile(file, identityBytesMax), nodeHash);
  if (decoded.kind === "identity") return decoded.identity;
  if (decoded.kind === "damaged") throw refused(path, "its identity file is damaged");
  throw refused(path, `its format is version ${decoded.version}, and this program knows ${decoded.known}`);
}

function startsIn(path: string, founders: Membership, log: ReadableLog): readonly DirectoryStart[] {
  const starts: DirectoryStart[] = [];
  if (log.start.index === noIndex)
    starts.push({ index: noIndex, open: (parts) => new Executor({ ...parts, hash: nodeHash, founders }) });
  if (readingDisk.exists(`${path}/${checkpointsName}`)) {
    const store = new CheckpointStore({ disk: readingDisk, hash: nodeHash, directory: path });
    for (const checkpoint of store.all.toReversed()) {
      if (checkpoint.last.index >= log.start.index) starts.push(startAt(store, founders, checkpoint));
    }
  }
  if (starts.length > 0) return starts;
  throw refused(
    path,
    `its log begins behind entry ${log.start.index}, and no whole checkpoint of that entry or a later one is there`,
  );
}

function startAt(store: CheckpointStore, founders: Membership, { last, time, chunks }: Checkpoint): DirectoryStart {
  return {
    index: last.index,
    open: (parts) => {
      const executor = new Executor({ ...parts, hash: nodeHash, founders });
      try {
        const at = { index: last.index, time };
        return doAll(installFrames(executor, at, readAll(store, chunks))) ?? executor;
      } catch (cause) {
        if (!(cause instanceof ChunkDamaged)) throw cause;
        return `the checkpoint of entry ${last.index} cannot be used: ${cause.message}`;
      }
    },
  };
}

function notesOf(path: string, holder: number | undefined, { damaged, amnesia }: ReadableLog): readonly string[] {
  const notes: string[] = [];
  if (holder !== undefined)
    notes.push(`${path} is in use by process ${holder}: what it held when it was opened is shown`);
  const [first] = damaged;
  if (first !== undefined) {
    const more = damaged.length > 1 ? ` and ${damaged.length - 1} others are` : " is";
    notes.push(`entry ${first.index}${more} damaged on this disk`);
  }
  if (amnesia !== undefined) notes.push(`the end of the log is lost: ${amnesia}`);
  return notes;
}

async function* entriesOf(log: ReadableLog, from: LogIndex): AsyncGenerator<Entry, string | undefined> {
  for (let next = from; next <= log.lastIndex;) {
    const entries = await read(log, next);
    if (typeof entries === "string") return entries;
    yield* entries;
    next = after(entries.at(-1)?.index ?? next);
  }
  return undefined;
}

function read(log: ReadableLog, from: LogIndex): Promise<readonly Entry[] | string> {
  return new Promise((resolve) =>
    log.read(from, readBytes, (result) => resolve("kind" in result ? result.message : result)),
  );
}

function refused(path: string, fact: string): CommandFailure {
  return new CommandFailure(exitCodes.dataRefused, `Cannot replay ${path}: ${fact}`, {});
}
