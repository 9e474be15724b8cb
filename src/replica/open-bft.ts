/**
 * Opens a replica that orders by PBFT: the host, the directory and the links are those of `open-replica.ts`.
 *
 * Owns: what of this fault model must fit before anything runs, and how its parts are joined. Leaves to others: keys and signatures (given as
 * a `ReplicaSeal`), everything else. The engine runs on the host's event loop.
 */
import type { Limits } from "../api/config.js";
import type { LowLevelMachine } from "../api/low-level.js";
import type { BftMessage } from "../consensus/bft/messages.js";
import type { BftSettings } from "../consensus/bft/state.js";
import type { Evidence } from "../consensus/bft/turn.js";
import { versionsOf } from "../execution/versions.js";
import { noEntry } from "../model/entry.js";
import { noIndex, noTerm, type ReplicaId } from "../model/ids.js";
import { requestLimits } from "../model/request-limits.js";
import { byzantineMembersMin } from "../model/membership.js";
import { firstVersion } from "../model/version.js";
import type { Hash } from "../ports/hash.js";
import { KnownStore, readKnown } from "../storage/known-store.js";
import { openLog, type OpenedLog } from "../storage/wal.js";
import type { LinkProofs } from "../transport/link-proofs.js";
import { decodeBftMessage, encodeInEpoch, splitEpoch, type BftLimits } from "../wire/bft-codec.js";
import { newViewBytesMax } from "../wire/bft-statements.js";
import { noDisk } from "../wire/handshake.js";
import { BftDriver } from "./bft-driver.js";
import { readJournal } from "./bft-journal.js";
import { peerMessageTypes, type DriverWorld } from "./engine.js";
import { EngineSide } from "./engine-side.js";
import { orderedByPbft } from "./host-ordering.js";
import {
  openDirectory,
  openHost,
  type OpenedReplica,
  type OpenRefused,
  type OpenReplicaOptions,
  type ReplicaPorts,
} from "./open-replica.js";
import type { ReplicaSeal } from "./replica-seal.js";
import type { ReplicaObserver } from "./replica.js";

export interface OpenBftOptions extends OpenReplicaOptions {
  readonly seal: ReplicaSeal;
  readonly proofs: LinkProofs;
  /**
   * What is sent in place of each message of the core: of a replica that is to lie, so that somebody sees how the others bear it. `send` sends
   * something else to the same replica, later.
   */
  readonly outgoing?:
    ((to: ReplicaId, message: BftMessage, send: (message: BftMessage) => void) => readonly BftMessage[]) | undefined;
  /** It does not say how often it has started, so that two on copies of one disk are not told apart: of one that is to lie. */
  readonly hidesStarts?: boolean | undefined;
  /** A replica has signed what no correct one does. */
  readonly evidence: (evidence: Evidence) => void;
}

export interface BftReplica extends OpenedReplica<EngineSide<BftDriver>> {
  readonly log: OpenedLog;
}

/** What a record or a frame has around what begins a view. */
const aroundBytesMax = 16_384;

/** Here a barrier that nobody waits for takes an entry of the order. */
const renewFactor = 4;

/**
 * The order waits for checkpoints, so they are taken as often as it needs them. The log does not reach back to the last but one, which is not
 * kept: there are always others that have the newest.
 */
function limitsUnderPbft(limits: Limits): Limits {
  const logEntriesMax = Math.min(limits.checkpoints.logEntriesMax, limits.byzantine.checkpointEntries);
  const { admission, checkpoints, storage } = limits;
  return {
    ...limits,
    admission: { ...admission, renewMs: renewFactor * admission.renewMs },
    checkpoints: { ...checkpoints, logEntriesMax },
    storage: { ...storage, checkpointsBytesMax: 0 },
  };
}

function settingsOf({ byzantine }: Limits): BftSettings {
  return {
    windowCount: byzantine.windowEntries,
    checkpointInterval: byzantine.checkpointEntries,
    statusMs: byzantine.statusMs,
    requestTimeoutMs: byzantine.requestMs,
    requestTimeoutMsMax: byzantine.requestMsMax,
    waitingCountMax: byzantine.watchedMax,
  };
}

export function bftLimitsOf({ admission, byzantine }: Limits, replicaCount: number): BftLimits {
  // The largest request with its key, signature and lengths is a batch by itself.
  const batchBytesMax = Math.max(admission.batchBytesMax, requestLimits.requestBytesMax) + 4_096;
  const batchRequestsMax = requestLimits.batchCountMax;
  return { replicaCount, windowCount: byzantine.windowEntries, batchBytesMax, batchRequestsMax };
}

/** Throws `DiskError` if the disk fails; the directory's lock is given back then too. A refusal leaves nothing open. */
export function openBftReplica(
  machine: LowLevelMachine,
  given: OpenBftOptions,
  ports: ReplicaPorts,
  observer: ReplicaObserver,
): BftReplica | OpenRefused {
  const options = { ...given, limits: limitsUnderPbft(given.limits) };
  const refusal = refusalOf(machine, options);
  if (refusal !== undefined) return refusal;
  const directory = openDirectory(machine, options, ports);
  if (directory.kind === "refused") return directory;
  try {
    const { path, identity } = directory;
    const { disk, hash, clock } = ports;
    const { storage } = options.limits;
    const { logIdentity } = identity;
    const log = openLog({ disk, hash, clock, directory: path, logIdentity, ...storage, cacheBytes: Infinity });
    const opened = log.kind === "refused" ? log : openOver(machine, options, { ports, observer, directory, log });
    if (opened.kind === "refused") directory.release();
    return opened;
  } catch (cause) {
    directory.release();
    throw cause;
  }
}

type Around = Omit<Parameters<typeof openHost>[2], "found" | "ordering"> & { readonly log: OpenedLog };

function openOver(
  machine: LowLevelMachine,
  options: OpenBftOptions,
  { ports, observer, directory, log: openedLog }: Around,
): BftReplica | OpenRefused {
  const { log, recovered } = openedLog;
  const { id, limits, seal, evidence, members } = options;
  const { overdueMs, clockBoundMs } = limits.byzantine;
  const { hash, disk } = ports;
  const bftLimits = bftLimitsOf(limits, members.length);
  const records = recovered.amnesia ?? readJournal(recovered, bftLimits, hash);
  if (typeof records === "string") {
    log.close(() => {});
    const message = `Cannot start replica ${id}: it may have forgotten what it promised (${records}); nothing on its disk was changed`;
    return { kind: "refused", code: "amnesiac", message };
  }
  const ordering = orderedByPbft({ seal, limits: bftLimits, hash, overdueMs });
  const starts = options.hidesStarts === true ? noDisk.starts : undefined;
  const found = { start: noIndex, lastIndex: noIndex, term: noTerm, hasConfigurations: false, starts };
  const around = { ports, observer, directory, found, ordering };
  const opened = openHost(machine, options, around, (start, listener) => {
    const { seed, begun, founders } = start;
    const loaded = begun.loaded && { index: begun.loaded.last.index, time: begun.loaded.time };
    const configuration = { ...noEntry, membership: founders };
    const {
      begun: { configuration: changed },
      seeds,
    } = start;
    const joining = { seeds: seeds.map((seed) => seed.id), configuration: changed };
    const shared = { log, recovered, records, loaded, limits: bftLimits, overdueMs, clockBoundMs, seal, hash, seed };
    // The log is given back by segments.
    const writtenBytesMin = limits.storage.segmentBytes / 4;
    const settings = settingsOf(limits);
    const parts = { ...shared, ...joining, self: id, members: configuration, settings, writtenBytesMin, evidence };
    const known = { disk, hash, directory: start.directory };
    return new EngineSide(
      {
        ...start,
        ...ports,
        driver: (world) => new BftDriver(parts, lyingWorld(world, options.outgoing, parts)),
        proofs: options.proofs,
        log,
        known: readKnown(known),
        knownStore: new KnownStore(known),
      },
      listener,
    );
  });
  if (opened.kind === "opened") return { ...opened, log: openedLog };
  log.close(() => {});
  return opened;
}

function lyingWorld(
  world: DriverWorld,
  outgoing: OpenBftOptions["outgoing"],
  { limits, hash }: { readonly limits: BftLimits; readonly hash: Hash },
): DriverWorld {
  if (outgoing === undefined) return world;
  const send: DriverWorld["send"] = (to, type, payload) => {
    const split = type === peerMessageTypes.bft ? splitEpoch(payload) : undefined;
    const message = split && decodeBftMessage(split.encoded, { ...limits, replicaCount: undefined }, hash);
    if (split === undefined || message === undefined) return world.send(to, type, payload);
    const { epoch } = split;
    const sendNow = (each: BftMessage): void => world.send(to, type, encodeInEpoch(epoch, each));
    for (const each of outgoing(to, message, sendNow)) sendNow(each);
  };
  return { ...world, send };
}

function refusalOf(machine: LowLevelMachine, { id, members, limits }: OpenBftOptions): OpenRefused | undefined {
  const refused = (why: string): OpenRefused => ({
    kind: "refused",
    code: "NOT_UNDER_BYZANTINE_FAULTS",
    message: `Cannot start replica ${id} under Byzantine faults: ${why}`,
  });
  if (members.length < byzantineMembersMin)
    return refused(`it takes ${byzantineMembersMin} replicas to tolerate one, and there are ${members.length}`);
  // A log that begins with a later one says so in an entry that nobody could check.
  const oldest = versionsOf(machine)[0]?.version;
  if (oldest !== firstVersion)
    return refused(`its log begins with version ${firstVersion}, and the oldest that the machine has is ${oldest}`);
  const { windowEntries } = limits.byzantine;
  const longest = newViewBytesMax({ replicaCount: members.length, windowCount: windowEntries }) + aroundBytesMax;
  const room = Math.min(limits.storage.segmentBytes, limits.transport.peerFrameBytesMax);
  if (longest > room)
    return refused(
      `with byzantine.windowEntries = ${windowEntries} what begins a view has up to ${longest} bytes, and storage.segmentBytes and transport.peerFrameBytesMax leave ${room}`,
    );
  return undefined;
}
