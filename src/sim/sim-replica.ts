/**
 * One simulated replica: a host with a disk, and the process on it, which is the production replica over simulated ports.
 *
 * Owns: its starts and ends, and what a supervisor would do (start again what has stopped); what the judges are told of it. Leaves to
 * others: when faults come (`nemesis.ts`), what is right (`checkers/`). Owned by `world.ts`.
 */
import type { ForbiddenUse, LowLevelMachine } from "../api/low-level.js";
import type { BftState } from "../consensus/bft/state.js";
import type { RaftState } from "../consensus/raft/state.js";
import type { RoleView } from "../consensus/vocabulary.js";
import type { Instruction, InstructionOutcome } from "../model/instruction.js";
import type { AuditedPosition } from "../model/audit.js";
import type { ReplicaId } from "../model/ids.js";
import type { Member } from "../model/membership.js";
import { DiskError } from "../ports/disk.js";
import type { EngineHealth } from "../replica/channel.js";
import { openBftReplica, type BftReplica } from "../replica/open-bft.js";
import type { BftDriver } from "../replica/bft-driver.js";
import {
  closeReplica,
  openReplica,
  type InlineReplica,
  type OpenRefused,
  type OpenReplicaOptions,
  type ReplicaPorts,
} from "../replica/open-replica.js";
import type { ReplicaObserver } from "../replica/replica.js";
import type { ByzantineSide } from "./byzantine.js";
import type { OrderJudge } from "./checkers/order-judge.js";
import { RuleBroken } from "./checkers/violation.js";
import { CopiedReplica, type CopiedParts } from "./copied-replica.js";
import type { DiskSnapshot } from "./disk-image.js";
import { Draw } from "./draw.js";
import type { Seen } from "./markers.js";
import { SimProcess } from "./process.js";
import { ProcessEnded, type SimDisk } from "./sim-disk.js";
import { simHash } from "./sim-hash.js";
import type { SimOpened } from "./opened.js";
import type { UnfinishedSteps } from "./unfinished.js";

export interface SimReplicaParts extends CopiedParts {
  readonly host: string;
  readonly disk: SimDisk;
  readonly judge: OrderJudge;
  /** Undefined: as in production. */
  readonly scrubCycleMs: number | undefined;
  readonly unfinished: UnfinishedSteps | undefined;
  /** Nobody starts it before it is to be added. */
  readonly isAbsent: boolean;
  /** If replicas may lie: then they order by PBFT. */
  readonly byzantine: ByzantineSide | undefined;
  /** Of its first process. */
  readonly machine: LowLevelMachine;
  /** Start was refused, for good as far as this disk goes. */
  readonly refused: (id: string, code: string, message: string) => void;
  /** It has told its program that replicas differ. */
  readonly setAside: (id: string) => void;
  readonly found: (id: string, finding: AuditedPosition) => void;
  /** Its process has ended: what only that knew is forgotten. */
  readonly ended: (id: string) => void;
}

const dataDir = "data";
/** A supervisor waits so long before it starts a process again. */
const restartMs = 1_000;

export class SimReplica {
  readonly id: string;
  /** Where it runs: its id, unless it is the twin of another. */
  readonly host: string;
  readonly disk: SimDisk;
  /** It was given an old copy of its disk: perhaps nobody notices, and it may be left behind for ever. */
  isStale = false;
  /** What its next process runs. */
  machine: LowLevelMachine;
  /** Why its last process has stopped: its machine has not the version that the others run. */
  lacksVersion: string | undefined;
  /** Processes that know what the old copy has forgotten, by the host's id: they must not take it for what it was. */
  rememberedBy: ReadonlyMap<string, SimProcess> = new Map();
  readonly #parts: SimReplicaParts;
  readonly #member: Member;
  /** Whom its directory began with. */
  #members: readonly Member[];
  #isAbsent: boolean;
  #process: SimProcess | undefined;
  #opened: SimOpened | undefined;
  #raft: RaftState | undefined;
  #bft: BftDriver | undefined;
  /** Of its process. */
  #seen: Seen | undefined;
  #starts = 0;
  #isFounded = false;
  /** Its directory is that of a replica that was, or waits to be, added. */
  #joins = false;
  #isRetired = false;
  /** The process that was asked to stop. */
  #stopping: SimProcess | undefined;
  #lostBecause: string | undefined;
  #copy: CopiedReplica | undefined;
  #copies = 0;

  constructor(member: Member, parts: SimReplicaParts) {
    this.id = member.id;
    this.host = parts.host;
    this.disk = parts.disk;
    this.machine = parts.machine;
    this.#member = member;
    this.#members = parts.members;
    this.#isAbsent = parts.isAbsent;
    this.#parts = parts;
  }

  get process(): SimProcess | undefined {
    return this.#process;
  }

  get opened(): SimOpened | undefined {
    return this.#opened;
  }

  /** As it is, or was when the process ended; undefined under PBFT. */
  get raft(): RaftState | undefined {
    return this.#raft;
  }

  /** The same under PBFT. */
  get bft(): BftState | undefined {
    return this.#bft?.state;
  }

  get isUp(): boolean {
    return this.#opened !== undefined;
  }

  /** Why its disk can never be used again, if so. */
  get lostBecause(): string | undefined {
    return this.#lostBecause;
  }

  get dataDir(): string {
    return dataDir;
  }

  /** Leads, has settled earlier terms, and knows it. */
  get isLeading(): boolean {
    const { role } = this.#raft ?? {};
    if (this.#bft !== undefined) return this.isUp && this.#bft.isLeading;
    return this.isUp && role?.kind === "leader" && (this.#raft?.commitIndex ?? 0) >= role.noopIndex;
  }

  /** The term or view that it would lead. */
  get leads(): number {
    return this.#raft?.term ?? (this.bft === undefined ? 0 : positionOf(this.bft));
  }

  start(): void {
    if (this.#process !== undefined || this.#lostBecause !== undefined || this.#isRetired || this.#isAbsent) return;
    this.#starts += 1;
    const { scheduler, turnMsMax, threw, trace } = this.#parts;
    const process: SimProcess = new SimProcess(scheduler, `${this.host}.${this.#starts}`, {
      turnMsMax,
      onThrow: (cause) => {
        if (!(cause instanceof ProcessEnded)) return threw(this.id, cause);
        this.powerCut();
        this.#startLater();
      },
      afterEach: () => this.#look(),
    });
    this.#process = process;
    trace.add(this.host, `starts (${process.name})`);
    process.run(() => this.#open(process));
  }

  /** kill -9: what was written is in the system's cache. */
  kill(): void {
    this.#end("killed", "is killed");
  }

  /** kill -9, and nobody starts it again. */
  retire(): void {
    this.#isRetired = true;
    this.kill();
  }

  /** The machine loses power and its disk. */
  wipe(): void {
    this.powerCut();
    this.disk.wipe();
    this.#joins = false;
  }

  /** With an empty disk, to be added: it is another replica than the one that had this id before. */
  join(members = this.#members): void {
    this.#copy?.end("its id is given to another disk");
    this.wipe();
    this.#members = members;
    this.#joins = true;
    this.#isAbsent = false;
    this.#lostBecause = undefined;
    this.isStale = false;
    this.rememberedBy = new Map();
    this.#raft = undefined;
    this.#bft = undefined;
    this.#parts.judge.forgetVoter(this.id);
    this.start();
  }

  /** It is no member any more: nobody starts it again, or keeps its disk. */
  leave(): void {
    this.#parts.trace.add(this.host, "is given up");
    this.wipe();
    this.#bft = undefined;
    this.#isAbsent = true;
  }

  /** As an operator: only one that runs can be asked. */
  instruct(instruction: Instruction, done: (outcome: InstructionOutcome) => void): boolean {
    const { core } = this.#opened ?? {};
    if (core === undefined) return false;
    this.#process?.run(() => core.instruct(instruction, done));
    return true;
  }

  /** The machine loses power: what was not synced is lost or torn, and nobody is told. */
  powerCut(): void {
    this.#end("hostLost", "loses power");
    this.disk.powerCut();
  }

  /** A second process on the same directory. It must be refused. */
  startTwin(): void {
    const { scheduler, trace, turnMsMax, threw } = this.#parts;
    if (this.#process === undefined) return;
    const twin = new SimProcess(scheduler, `${this.id}.twin`, { turnMsMax, onThrow: (cause) => threw(this.id, cause) });
    twin.run(() => {
      const opened = this.#openOver(twin);
      trace.add(this.host, opened.kind === "refused" ? `refuses a second process: ${opened.code}` : "runs twice");
      if (opened.kind === "opened") threw(this.id, new Error("two processes have one data directory"));
      this.#parts.markers.reach("a second process was refused the data directory");
    });
    twin.kill();
  }

  /** Beside its own process, one on a copy of its disk: at most one at a time. */
  startCopy(disk: DiskSnapshot): void {
    if (this.#copy?.isUp === true) return;
    this.#copies += 1;
    const { id, machine } = this;
    this.#copy = new CopiedReplica({ id, number: this.#copies, machine, dataDir, disk }, this.#parts);
  }

  /** The one on a copy of its disk, as long as nobody has refused it. */
  get copy(): CopiedReplica | undefined {
    return this.#copy?.isUp === true ? this.#copy : undefined;
  }

  /** As SIGTERM: takes nothing new, answers what it has, closes its log. */
  stop(): void {
    const process = this.#process;
    const opened = this.#opened;
    if (process === undefined || opened === undefined || this.#stopping === process) return;
    this.#stopping = process;
    this.#parts.trace.add(this.host, "is asked to stop");
    opened.core.stopTaking();
    const end = this.#parts.scheduler.now + 2_000;
    const look = (): void => {
      if (this.#process !== process) return;
      if (opened.core.pending > 0 && this.#parts.scheduler.now < end) return process.post(10, look);
      closeReplica(opened, () => {
        if (this.#process === process) this.#end("killed", "has stopped");
        this.#startLater();
      });
    };
    process.run(look);
  }

  /** Tells the markers what this process has counted so far. */
  report(): void {
    if (this.#opened !== undefined) this.#parts.markers.count(this.#opened, this.disk);
  }

  pause(): void {
    this.#process?.pause();
  }

  resume(): void {
    this.#process?.resume();
  }

  #end(how: "killed" | "hostLost", what: string): void {
    const process = this.#process;
    if (process === undefined) return;
    this.#parts.trace.add(this.host, what);
    this.report();
    this.#seen = undefined;
    process.kill();
    this.#parts.network.onProcessEnd(process, how);
    this.#process = undefined;
    this.#opened = undefined;
    this.#parts.ended(this.id);
  }

  #startLater(): void {
    this.#parts.scheduler.after(restartMs, () => this.start());
  }

  #open(process: SimProcess): void {
    const { trace, network, refused, markers, byzantine } = this.#parts;
    let opened: InlineReplica | BftReplica | OpenRefused;
    try {
      opened = this.#openOver(process);
    } catch (cause) {
      if (!(cause instanceof DiskError)) throw cause;
      this.#end("killed", `cannot start: ${cause.message}`);
      markers.reach("a start failed because of the disk");
      return this.#startLater();
    }
    if (opened.kind === "refused") {
      this.#end("killed", `is refused: ${opened.code}`);
      markers.reach("a start was refused");
      if (opened.code === "LACKS_VERSION") {
        this.lacksVersion = opened.message;
        return this.#startLater();
      }
      if (opened.code === "disowned") markers.reach("a replica was disowned: its disk had forgotten something");
      if (opened.code !== "held") this.#lostBecause = opened.code;
      return refused(this.id, opened.code, opened.message);
    }
    this.#isFounded = true;
    this.lacksVersion = undefined;
    this.#opened = opened;
    const { recovered } = opened.log;
    if ("state" in opened) {
      if (this.#raft !== undefined && !this.isStale) this.#parts.judge.onRestart(this.id, this.#raft, opened.state);
      this.#raft = opened.state;
      trace.add(
        this.id,
        `runs with ${recovered.lastIndex} entries of terms up to ${recovered.hardState.term}${damageText(recovered.damaged.length)}`,
      );
    } else {
      const { driver } = opened.core.engine;
      this.#bft = driver;
      trace.add(this.host, `runs with ${recovered.lastIndex} records in view ${driver.state.view}`);
    }
    if (opened.loaded !== undefined) markers.reach("a replica started from a checkpoint");
    if (recovered.damaged.length > 0) markers.reach("a replica started with damaged entries");
    network.listen(process, this.#member.peer, (connect) => opened.core.engine.acceptPeer(connect));
    network.listen(process, this.#member.client, (connect) =>
      opened.core.acceptClient(byzantine?.clientSide(this.id, connect) ?? connect),
    );
  }

  #openOver(process: SimProcess): InlineReplica | BftReplica | OpenRefused {
    const { scheduler, network, disk, byzantine, unfinished } = this.#parts;
    const draw = new Draw(scheduler.random(`entropy ${process.name}`));
    const options = this.#openOptions();
    const observer = this.#observer(process);
    const ports: ReplicaPorts = {
      clock: process.clock,
      disk: disk.attach(process),
      network: network.attach(process, this.host),
      hash: simHash,
      entropy: { bytes: (count) => Uint8Array.from({ length: count }, () => draw.between(0, 255)) },
    };
    const machine = unfinished?.on(this.id, this.machine) ?? this.machine;
    if (byzantine === undefined) return openReplica(machine, options, ports, observer);
    const state = (): BftState | undefined => (this.#process === process ? this.bft : undefined);
    const spoken = byzantine.optionsFor({ id: this.id, process, state });
    return openBftReplica(this.machine, { ...options, ...spoken }, ports, observer);
  }

  #openOptions(): OpenReplicaOptions {
    const { judge, clusterId, limits, markers, scrubCycleMs } = this.#parts;
    return {
      id: this.id,
      clusterId,
      dataDir,
      members: this.#members,
      bootstrap: !this.#isFounded && !this.#joins,
      join: this.#joins,
      limits,
      scrubCycleMs,
      executed: (entry, executed) => {
        const { executor } = this.#opened ?? {};
        if (entry.kind === "time") markers.reach("an entry only moved the time");
        if (executor !== undefined) judge.onExecuted(this.id, entry, executed, executor);
      },
      forbidden: (use) => this.#parts.threw(this.id, new RuleBroken("V25", describeUse(use))),
    };
  }

  #observer(process: SimProcess): ReplicaObserver {
    const { markers, trace } = this.#parts;
    return {
      roleChanged: (role) => this.#onRole(role),
      healthChanged: (health) => this.#onHealth(health),
      found: (finding) => {
        const { index, kind, differing } = finding;
        trace.add(this.host, `finds at ${index}: ${kind} ${differing.join(", ")}`);
        this.#parts.found(this.id, finding);
      },
      quarantineChanged: (state) => {
        trace.add(this.host, `is ${state}`);
        if (state === "rebuilding") this.#parts.setAside(this.id);
      },
      broken: (reason) => this.#onBroken(process, reason),
      peerChanged: (peer, isConnected, cause) => {
        this.#parts.trace.addOften(this.host, 1, () => (isConnected ? `hears ${peer}` : `has lost ${peer}: ${cause}`));
        if (!isConnected && cause === "closed by this side") markers.reach("a link was given up as silent");
      },
      dropped: (reason, detail) => {
        this.#parts.trace.addOften(this.host, 2, () => `drops ${reason}: ${detail}`);
      },
    };
  }

  #onRole({ role, term, view, epoch = 0, leader }: RoleView): void {
    if (view !== undefined) return this.#onView({ epoch, view }, role, leader);
    this.#parts.trace.add(
      this.id,
      role === "leader"
        ? `leads term ${term}`
        : `is ${role} in term ${term}${leader === undefined ? "" : ` under ${leader}`}`,
    );
  }

  #onView(position: Pick<BftState, "epoch" | "view">, role: RoleView["role"], leader: ReplicaId | undefined): void {
    const { trace, byzantine, markers } = this.#parts;
    const { epoch } = position;
    const view = `view ${position.view}${epoch === 0 ? "" : ` of epoch ${epoch}`}`;
    const what = role === "candidate" ? `asks for ${view}` : `is in ${view} under ${leader}`;
    trace.add(this.host, role === "leader" ? `is primary of ${view}` : what);
    if (role === "candidate") markers.reach("a view was left");
    else if (byzantine?.isFaulty(this.id) === false) byzantine.views.add(positionOf(position));
  }

  #onHealth({ full, stalled, resigned }: EngineHealth): void {
    const { trace, markers } = this.#parts;
    const now = stalled === undefined ? "" : `, stalled: ${stalled}`;
    const led = resigned === undefined ? "" : `, resigned term ${resigned.term}: ${resigned.reason}`;
    trace.add(this.host, `${full ?? "has space for its log"}${now}${led}`);
    if (full !== undefined) markers.reach("a log had no space for more");
    if (resigned !== undefined) markers.reach("a leader resigned by itself");
  }

  #onBroken(process: SimProcess, reason: string): void {
    this.#parts.trace.add(this.host, `steps aside: ${reason}`);
    this.lacksVersion = this.#opened?.executor.lacksVersion;
    this.#parts.markers.reach("a replica stepped aside");
    process.post(1, () => {
      if (this.#process !== process) return;
      this.#end("killed", "ends");
      this.#startLater();
    });
  }

  /** After each callback of the process. */
  #look(): void {
    const raft = this.#raft;
    if (raft === undefined) return;
    const { role, term } = raft;
    if (role.kind === "candidate") this.#parts.judge.onVotes(this.id, term, role.granted);
    if (role.kind === "leader") this.#parts.judge.onLeader(this.id, raft);
    this.#seen = this.#parts.markers.look(this.#seen, raft);
  }
}

/** Views begin again with each epoch. */
function positionOf({ epoch, view }: Pick<BftState, "epoch" | "view">): number {
  return epoch * 1_048_576 + view;
}

function damageText(count: number): string {
  return count === 0 ? "" : `, ${count} of them damaged`;
}

/** With the line of the user's code, but without the folder that it lies in: a trace is the same everywhere. */
function describeUse({ message, stack }: ForbiddenUse): string {
  const frame = /^ +at .*[/(\\]([^/\\]+:\d+:\d+)\)?$/m.exec(stack)?.[1];
  return frame === undefined ? message : `${message} (${frame})`;
}
