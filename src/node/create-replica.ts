/**
 * A replica on this machine: `startReplica` checks what it is told, opens the replica over this machine's ports, and listens.
 *
 * Owns: checking options, listening, the order of closing. Leaves to others: opening (`replica/open-replica.ts`) and everything that
 * happens afterwards. Called by programs (`quorate/server`) and by the bundled process.
 */
import {
  checkLimits,
  defaultEnginePlace,
  defaultLimits,
  fingerprintOf,
  type EnginePlace,
  type Limits,
} from "../api/config.js";
import type { Door } from "../api/door.js";
import { InstructionRefused } from "../api/errors.js";
import type { ForbiddenUse, LowLevelMachine } from "../api/low-level.js";
import type {
  AuditFinding,
  DivergenceListener,
  MemberChanges,
  NewMember,
  Replica,
  ReplicaStatus,
  SnapshotStream,
} from "../api/replica.js";
import { equalBytes } from "../base/bytes.js";
import type { RoleView } from "../consensus/vocabulary.js";
import { isDivergence, type AuditedPosition } from "../model/audit.js";
import type { QuarantineState } from "../model/quarantine.js";
import { isReplicaId, type ReplicaId } from "../model/ids.js";
import { openSnapshot } from "./snapshot-stream.js";
import { describeChange, type Instruction, type MemberChange, type MembershipChange } from "../model/instruction.js";
import type { Member } from "../model/membership.js";
import type { Clock } from "../ports/clock.js";
import type { EngineHealth } from "../replica/channel.js";
import { closeReplica, openReplica, type OpenedReplica } from "../replica/open-replica.js";
import type { ReplicaCore, ReplicaObserver } from "../replica/replica.js";
import { openByzantine, type Byzantine, type ByzantineOptions } from "./byzantine.js";
import { createNodeClock } from "./clock.js";
import { createDoor } from "./create-door.js";
import { nodeDisk } from "./disk.js";
import { openReplicaOnThreads } from "./engine-thread.js";
import { nodeEntropy } from "./entropy.js";
import { nodeHash } from "./hash.js";
import { accepted, isLoopback, listen, nodeNetwork, parseAddress, type Listener } from "./network.js";
import { useNodeText } from "./text.js";
import { quorateVersion } from "./version.js";
import { Watchdog } from "./watchdog.js";

export interface ReplicaOptions {
  readonly id: ReplicaId;
  readonly clusterId: string;
  readonly dataDir: string;
  /** All replicas, this one included, with the addresses of this run. */
  readonly members: readonly Member[];
  /**
   * Creates the data directory of a new cluster. Give it once, when the cluster is founded: a replica that starts with an empty
   * directory otherwise may have voted before, and is refused.
   */
  readonly bootstrap: boolean;
  /**
   * Creates the data directory of a replica that is added to a running cluster (`members.add`). It is no founder: `members` are where it
   * finds the others, and itself. Ignored once the directory exists.
   */
  readonly join?: boolean;
  /** Allows addresses that other machines can reach, although nothing is encrypted or authenticated yet. */
  readonly insecure?: boolean;
  /**
   * Where ordering runs: on the thread that executes commands (`inline`), or on one of its own (`worker`), where slow commands delay neither
   * heartbeats nor the log.
   */
  readonly engine?: EnginePlace;
  /**
   * Four numbers that an engine on a thread of its own keeps up: the longest turn of its event loop in milliseconds by the wall clock, and by
   * the thread's processor time; since when, in Unix milliseconds; and 1 if the system tells processor times of threads apart.
   */
  readonly engineTurns?: Float64Array;
  /**
   * Replicas may do anything at all, and n of them tolerate ⌊(n − 1) / 3⌋ that do; there must be four at least. Without it they may only stop.
   * The same at all replicas, for good. The engine runs inline.
   */
  readonly byzantine?: ByzantineOptions;
  /**
   * Ends this whole process when a command runs for longer than `limits.execution.commandMsMax`, since nothing else can end it; whoever starts
   * it again gets a replica that reports the command instead of executing it. Without it such a command holds the process for ever.
   */
  readonly watchdog?: boolean;
  readonly limits?: Limits;
  readonly onRole?: (role: RoleView) => void;
  /** Something keeps this replica from its work, such as a full disk, or does no longer. */
  readonly onHealth?: (health: EngineHealth) => void;
  /** Replicas differ at this position, and did not at the one before. */
  readonly onFinding?: (finding: AuditedPosition) => void;
  /** This replica was set aside because it differs, or is in service again. */
  readonly onQuarantine?: (state: QuarantineState) => void;
  /** The replica has stepped aside for good, for example because its disk failed: stop it. */
  readonly onBroken?: (reason: string) => void;
  /** The machine's code used what replicas do not see alike; the command that did has failed, on every replica. */
  readonly onForbiddenUse?: (use: ForbiddenUse) => void;
  readonly onPeer?: (peer: ReplicaId, isConnected: boolean, cause: string) => void;
  /** Something was dropped or refused before it could be answered. */
  readonly onDropped?: (reason: string, detail: string) => void;
}

export class CannotStart extends Error {
  override readonly name = "CannotStart";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Rejects with `CannotStart` when an option, the data directory or a port does not allow it; nothing stays open then. */
export async function startReplica(machine: LowLevelMachine, options: ReplicaOptions): Promise<Replica> {
  const limits = options.limits ?? defaultLimits;
  const self = checkOptions(options, limits);
  const clock = createNodeClock();
  const divergence = new Set<DivergenceListener>();
  const { commandMsMax } = limits.execution;
  const watch = options.watchdog === true ? new Watchdog(options.dataDir, commandMsMax) : undefined;
  const toOpen = { ...options, limits, peerAddress: self.peer, divergence, watch };
  const { opened, listening, byzantine } = await open(machine, toOpen, clock).catch(async (cause: unknown) => {
    await watch?.stop();
    throw cause;
  });
  if (watch?.found !== undefined) watch.forget();
  const listeners: Listener[] = [];
  try {
    await listening(listeners);
    listeners.push(await listen(self.client, (socket) => opened.core.acceptClient(accepted(socket))));
    const fingerprint = fingerprintOf(limits);
    return new RunningReplica({ opened, clock, listeners, divergence, watch, byzantine, fingerprint });
  } catch (cause) {
    // It may have voted already: the lock is given back only once nothing of it runs any more.
    await shutDown({ opened, listeners, watch, byzantine });
    throw cause;
  }
}

interface Open {
  readonly opened: OpenedReplica;
  readonly byzantine?: Byzantine | undefined;
  /** Resolves once other replicas can reach this one. */
  listening(listeners: Listener[]): Promise<void>;
}

async function open(
  machine: LowLevelMachine,
  options: ReplicaOptions & { readonly limits: Limits; readonly peerAddress: string } & Pick<
      Running,
      "divergence" | "watch"
    >,
  clock: Clock,
): Promise<Open> {
  useNodeText();
  const { watch, onForbiddenUse: forbidden } = options;
  const unfinished = watch?.found;
  const toOpen = { ...options, join: options.join === true, forbidden, watch, unfinished };
  const ports = { clock, disk: nodeDisk, network: nodeNetwork, hash: nodeHash, entropy: nodeEntropy };
  const observer: ReplicaObserver = {
    roleChanged: (role) => options.onRole?.(role),
    healthChanged: (health) => options.onHealth?.(health),
    found: (finding) => {
      options.onFinding?.(finding);
      const { kind } = finding;
      if (!isDivergence(kind)) return;
      // A listener that throws is a fault of the program, and not of the turn in which something was found.
      for (const listener of options.divergence) queueMicrotask(() => listener({ ...finding, kind }));
    },
    quarantineChanged: (state) => options.onQuarantine?.(state),
    broken: (reason) => options.onBroken?.(reason),
    peerChanged: (peer, isConnected, cause) => options.onPeer?.(peer, isConnected, cause),
    dropped: (reason, detail) => options.onDropped?.(reason, detail),
  };
  if ((options.engine ?? defaultEnginePlace) === "worker") {
    const opened = await openReplicaOnThreads(machine, toOpen, ports, observer);
    if (opened.kind === "refused") throw new CannotStart(opened.code, opened.message);
    return { opened, listening: () => opened.core.engine.listening };
  }
  const byzantine =
    options.byzantine && openByzantine(machine, { ...toOpen, byzantine: options.byzantine }, ports, observer);
  const opened = byzantine?.replica ?? openReplica(machine, toOpen, ports, observer);
  if (opened.kind === "refused") {
    await byzantine?.close();
    throw new CannotStart(opened.code, opened.message);
  }
  const { engine } = opened.core;
  return {
    opened,
    byzantine,
    listening: async (listeners) => {
      listeners.push(await listen(options.peerAddress, (socket) => engine.acceptPeer(accepted(socket))));
    },
  };
}

interface ShutDown {
  readonly opened: OpenedReplica;
  readonly listeners: readonly Listener[];
  readonly watch: Watchdog | undefined;
  readonly byzantine: Byzantine | undefined;
}

async function shutDown({ opened, listeners, watch, byzantine }: ShutDown): Promise<void> {
  for (const listener of listeners) listener.close();
  await new Promise<void>((resolve) => closeReplica(opened, resolve));
  await byzantine?.close();
  await watch?.stop();
  watch?.forget();
}

function checkOptions(options: ReplicaOptions, limits: Limits): Member {
  const { id, members, insecure } = options;
  if (!isReplicaId(id))
    throw new CannotStart("INVALID_ID", `Cannot start replica "${id}": an id is 1 to 32 of a-z A-Z 0-9 _ -`);
  const objection = checkLimits(limits);
  if (objection !== undefined) throw new CannotStart("INVALID_LIMITS", objection);
  const objectionToKeys = checkByzantine(options);
  if (objectionToKeys !== undefined) throw new CannotStart("NOT_UNDER_BYZANTINE_FAULTS", objectionToKeys);
  const self = members.find((member) => member.id === id);
  if (self === undefined)
    throw new CannotStart("NOT_A_MEMBER", `Cannot start replica ${id}: it is not among the members`);
  if (new Set(members.map((member) => member.id)).size !== members.length) {
    throw new CannotStart("DUPLICATE_MEMBER", `Cannot start replica ${id}: two members have the same id`);
  }
  for (const address of [self.peer, self.client]) {
    const { host } = parseAddress(address);
    if (isLoopback(host) || insecure === true) continue;
    throw new CannotStart(
      "NOT_LOOPBACK",
      `Cannot listen on ${address}: nothing is encrypted or authenticated yet, so only loopback is allowed unless --insecure is given`,
    );
  }
  return self;
}

function checkByzantine({ id, byzantine, members, engine }: ReplicaOptions): string | undefined {
  if (byzantine === undefined) return undefined;
  const cannot = `Cannot start replica ${id} under Byzantine faults`;
  if (engine === "worker") return `${cannot}: its engine runs inline so far, not on a thread of its own`;
  const { keys, signer } = byzantine;
  const lacking = members.filter((member) => !keys.has(member.id)).map((member) => member.id);
  if (lacking.length > 0) return `${cannot}: there is no public key of ${lacking.join(", ")}`;
  const own = keys.get(id);
  return own !== undefined && equalBytes(own, signer.publicKey)
    ? undefined
    : `${cannot}: its key is not the one that the members have for it`;
}

interface Running extends ShutDown {
  readonly clock: Clock;
  readonly divergence: Set<DivergenceListener>;
  /** Of the limits that execution depends on. */
  readonly fingerprint: string;
}

class RunningReplica implements Replica {
  readonly #running: Running;
  #stopped: Promise<void> | undefined;

  constructor(running: Running) {
    this.#running = running;
  }

  status(): ReplicaStatus {
    const { core, directory } = this.#running.opened;
    return { ...core.status(), quorateVersion, incarnation: directory.identity.incarnation };
  }

  openDoor(name: string): Door {
    const { opened, clock } = this.#running;
    return createDoor({ name, clock, connect: (receive) => opened.core.openLocal(receive) });
  }

  transferLeadership(to?: ReplicaId): Promise<void> {
    const wish = to === undefined ? "transfer leadership" : `transfer leadership to ${to}`;
    return this.#instruct({ kind: "transfer", to }, wish);
  }

  checkpoint(): Promise<void> {
    return this.#instruct({ kind: "checkpoint" }, "take a checkpoint");
  }

  finding(): AuditFinding | undefined {
    return this.#running.opened.core.finding;
  }

  snapshot(): SnapshotStream | undefined {
    const { opened } = this.#running;
    return openSnapshot(opened.checkpoints, opened.core.identity, this.#running.fingerprint);
  }

  get members(): MemberChanges {
    const change = (change: MembershipChange): Promise<void> =>
      this.#instruct({ kind: "change", change }, `change members (${describeChange(change)})`);
    return {
      add: (member, { learner } = {}) => change(adding({ ...member, learner })),
      promote: (id) => change({ kind: "promote", id }),
      remove: (id) => change({ kind: "remove", id }),
      replace: ({ id, peer, client }) => change({ kind: "replace", id, peer, client }),
      change: ({ add = [], replace = [], promote = [], remove = [] }) =>
        change({
          kind: "several",
          changes: [
            ...add.map(adding),
            ...replace.map(({ id, peer, client }) => ({ kind: "replace", id, peer, client }) as const),
            ...promote.map((id) => ({ kind: "promote", id }) as const),
            ...remove.map((id) => ({ kind: "remove", id }) as const),
          ],
        }),
      reconfigure: (signed) => this.#instruct({ kind: "reconfigure", signed }, "change the members"),
    };
  }

  on(_event: "divergence", listener: DivergenceListener): void {
    this.#running.divergence.add(listener);
  }

  off(_event: "divergence", listener: DivergenceListener): void {
    this.#running.divergence.delete(listener);
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const { core } = this.#running.opened;
    core.stopTaking();
    await drained(core);
    // Others go on at once instead of waiting until they notice; whoever cannot hand over just leaves.
    if (core.status().role === "leader") await this.transferLeadership().catch(() => undefined);
    await shutDown(this.#running);
  }

  /** `wish` completes the sentence "Cannot …". */
  #instruct(instruction: Instruction, wish: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#running.opened.core.instruct(instruction, (outcome) => {
        if (outcome === "done") resolve();
        else reject(new InstructionRefused(wish, outcome));
      });
    });
  }
}

function adding({ id, peer, client, learner }: NewMember): MemberChange {
  return { kind: "add", id, peer, client, role: learner === true ? "learner" : "joining" };
}

const drainMs = 2_000;

/** Until every admitted request is answered, but no longer than `drainMs`: without a leader none may ever be. */
function drained(core: ReplicaCore): Promise<void> {
  const end = performance.now() + drainMs;
  return new Promise((resolve) => {
    const look = (): void => {
      if (core.pending === 0 || performance.now() > end) resolve();
      else setTimeout(look, 10);
    };
    look();
  });
}
