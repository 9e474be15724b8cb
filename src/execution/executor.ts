/**
 * Executes the order: the only caller of the user's code.
 *
 * Owns: the walk through one entry. First every request passes the session filter, in order; the commands that may run are then
 * given to the machine at once; last, the replies are stored. Leaves to others: which entries are decided (`consensus/`), whom a
 * reply goes to (`replica/host.ts`). Everything it does follows from the entries alone, so it is the same on every replica.
 * Keeps X1 to X8. The reason for its length: all that is replicated is executed, forked, digested and installed together, in one place.
 *
 *   payload → requests → filter ──runs──► machine.apply ─► outcomes ─► replies stored ─► Executed[]
 *                          └──stored reply, refusal, or a command of this entry──────────────┘
 *
 * An entry that holds a command which cannot be finished here stays half way, before the machine: the same entry is given again, once it is
 * known what is to become of that command. The state that queries see is that of the entry before.
 */
import { fingerprintOf, type ReplicatedLimits } from "../api/config.js";
import {
  CannotFinish,
  type HeldStep,
  type LowLevelMachine,
  type MachineEnvironment,
  type MachineFork,
  type MachineInstance,
  type MachineStatistics,
  type Outcome,
} from "../api/low-level.js";
import { encodeUtf8 } from "../base/bytes.js";
import { InvariantViolation, unreachable } from "../base/invariant.js";
import type { Steps } from "../base/steps.js";
import { noEntry, type Entry } from "../model/entry.js";
import type { EventsAnswer, EventsQuestion } from "../model/events.js";
import { noIndex } from "../model/ids.js";
import type { AgreedTime, LogIndex, SessionId } from "../model/ids.js";
import { decodeMembership } from "../model/membership-codec.js";
import type { Configuration, Membership } from "../model/membership.js";
import { isInNameOf, keyOf } from "../model/request.js";
import type { CommandRequest, Reply, Request, RequestKey } from "../model/request.js";
import { crashRules, type ReportRules } from "../model/report-rules.js";
import type { Unfinished } from "../model/skip.js";
import type { Hash } from "../ports/hash.js";
import { decodeAttributed } from "../wire/request-codec.js";
import { decodeVersionChange } from "../wire/version-codec.js";
import { Audits, type Audited } from "./audits.js";
import { CheckpointPace } from "./checkpoint-pace.js";
import { IdempotencyTable } from "./idempotency-table.js";
import { checkHeld, checkNextEntry, checkOutcomes, checkWhole } from "./invariants.js";
import { decodeConfiguration, encodeConfiguration } from "./member-codec.js";
import { refused, replyOf, Running, settledReply } from "./replies.js";
import type { Kept } from "./replies.js";
import { ReportTable } from "./report-table.js";
import { reportsIn } from "./reported.js";
import { ControlCheck, scrubbing } from "./scrub.js";
import { freezeKeys, freezeSessions, readKeys, readSessions } from "./session-codec.js";
import { SessionTable } from "./session-table.js";
import type { Resolution, SessionCounts } from "./session-table.js";
import type { SessionView } from "./session-view.js";
import { digestOf } from "./state-digest.js";
import { Versions } from "./versions.js";

export interface Executed {
  readonly key: RequestKey;
  readonly reply: Reply;
  /** Answered from what was stored: nothing ran for it now. */
  readonly repeated: boolean;
}

export interface ExecutorParts {
  readonly machine: LowLevelMachine;
  readonly hash: Hash;
  readonly limits: ReplicatedLimits;
  /** The members before the first `configuration` entry; none at a replica that joins. */
  readonly founders: Membership;
  /** Of crash faults, if none are given. */
  readonly reportRules?: ReportRules | undefined;
  /** Told of each entry and what its requests are answered, once it is executed: it only looks. */
  readonly executed?: ((entry: Entry, executed: readonly Executed[]) => void) | undefined;
  /** See `MachineEnvironment`. */
  readonly forbidden?: MachineEnvironment["forbidden"];
  readonly watch?: MachineEnvironment["watch"];
}

export interface ExecutorStatistics {
  readonly commandsExecuted: number;
  readonly commandsRepeated: number;
  readonly sessions: SessionCounts;
  readonly sessionsOpen: number;
  readonly idempotencyKeys: number;
}

/** The whole replicated state at one index, unaffected by later entries. */
export interface ExecutorFork {
  readonly index: LogIndex;
  readonly time: AgreedTime;
  readonly machine: MachineFork;
  /** These two are made while they are taken, and can be taken once. */
  readonly sessions: Iterable<Uint8Array>;
  readonly keys: Iterable<Uint8Array>;
  readonly reports: readonly Uint8Array[];
  readonly members: readonly Uint8Array[];
  readonly audits: readonly Uint8Array[];
  readonly versions: readonly Uint8Array[];
  release(): void;
}

/** What a checkpoint gives back: a fork's chunks, read from somewhere. */
export interface ExecutorState {
  readonly index: LogIndex;
  readonly time: AgreedTime;
  readonly machine: Iterable<Uint8Array>;
  readonly sessions: Iterable<Uint8Array>;
  readonly keys: Iterable<Uint8Array>;
  readonly reports: Iterable<Uint8Array>;
  readonly members: Iterable<Uint8Array>;
  /** None in a checkpoint of a version before audits. */
  readonly audits: Iterable<Uint8Array>;
  /** None in a checkpoint of a release before versions. */
  readonly versions: Iterable<Uint8Array>;
}

/** A request of the entry at hand, with what it will be answered. */
interface Filtered {
  readonly key: RequestKey;
  readonly answer: Kept | Resolution;
  readonly repeated: boolean;
}

type Requests = readonly (Running | Exclude<Request, CommandRequest>)[];

/** An entry that has passed the filter. */
interface Work {
  readonly filtered: readonly (Filtered | Running)[];
  readonly commands: readonly Running[];
}

export class Executor {
  readonly #versions: Versions;
  readonly #founders: Membership;
  readonly #hash: Hash;
  readonly #limits: ReplicatedLimits;
  /** Of the limits by which this replica executes: where they differ, states will. */
  readonly #rules: Uint8Array;
  readonly reportRules: ReportRules;
  readonly #sessions: SessionTable;
  readonly #keys: IdempotencyTable;
  readonly #reports: ReportTable;
  #configuration: Configuration;
  readonly #control = new ControlCheck();
  #installs = 0;
  readonly #pace: CheckpointPace;
  readonly #audits: Audits;
  readonly #observe: ExecutorParts["executed"];
  #index: LogIndex = noIndex;
  #time: AgreedTime = 0;
  #broken: string | undefined = undefined;
  #lacksVersion: string | undefined = undefined;
  /** Steps that are not to be executed, of entries to come. */
  readonly #held = new Map<LogIndex, Map<number, HeldStep>>();
  #unfinished: (Unfinished & { readonly work: Work }) | undefined = undefined;
  #midEntry = false;
  /** The entry at hand has started a version. */
  #hasStarted = false;
  /** Of the requests of the entry that is begun, where they were signed. */
  #signers: readonly string[] | undefined;
  #commandsExecuted = 0;
  #commandsRepeated = 0;
  /** Of the last command without an idempotency key. */
  #settled: { readonly outcome: Outcome; readonly reply: Reply } | undefined;

  constructor({ machine, hash, limits, founders, reportRules, executed, forbidden, watch }: ExecutorParts) {
    this.#observe = executed;
    this.reportRules = reportRules ?? crashRules;
    this.#reports = new ReportTable(this.reportRules);
    this.#founders = founders;
    this.#configuration = { ...noEntry, membership: founders };
    this.#pace = new CheckpointPace(limits.checkpoints);
    this.#versions = new Versions(machine, { hash, limits: limits.machine, forbidden, watch }, this.reportRules);
    this.#audits = new Audits(limits.audit, this.reportRules);
    this.#hash = hash;
    this.#limits = limits;
    this.#rules = hash.sha256(encodeUtf8(fingerprintOf(limits)));
    this.#sessions = new SessionTable(limits.sessions);
    this.#keys = new IdempotencyTable(limits.idempotency);
    this.#control.note(this.audited);
  }

  /** The sessions as of the last executed entry, for admission. */
  get sessions(): SessionView {
    return this.#sessions;
  }

  /** Replicas' reports of their checkpoints, as far as they are executed. */
  get reports(): ReportTable {
    return this.#reports;
  }

  /** What replicas have at the same positions, and the verdicts, as of the last executed entry. */
  get audits(): Audits {
    return this.#audits;
  }

  /** The version that executes, and what the replicas can run, as of the last executed entry. */
  get versions(): Versions {
    return this.#versions;
  }

  /** The members by the executed entries: of the founding ones index and term are 0. */
  get configuration(): Configuration {
    return this.#configuration;
  }

  /** The last executed entry is one of those after which every replica takes a checkpoint. */
  get isCheckpointDue(): boolean {
    return this.#pace.isDue;
  }

  get executedIndex(): LogIndex {
    return this.#index;
  }

  /** Agreed time of the last executed entry. */
  get time(): AgreedTime {
    return this.#time;
  }

  /** Set for good by an entry that this version cannot execute: nothing was executed from it on, and the replica must stop. */
  get broken(): string | undefined {
    return this.#broken;
  }

  /** Set if that is because this program does not have the version that the others run: what to do. */
  get lacksVersion(): string | undefined {
    return this.#lacksVersion;
  }

  /** The last entry that was given was not executed: it cannot be, unless this step of it is skipped. */
  get unfinished(): Unfinished | undefined {
    return this.#unfinished;
  }

  /** The entry that was not executed would not be now either. */
  get isHeldBack(): boolean {
    const { at } = this.#unfinished ?? {};
    return at !== undefined && this.#held.get(at.index)?.get(at.step)?.isSkipped !== true;
  }

  /** Of an entry that is not executed: never, or not as long as nobody says that it is skipped. */
  hold({ at, reason }: Unfinished, isSkipped: boolean): void {
    checkHeld(at.index, this.#index);
    const steps = this.#held.get(at.index) ?? new Map<number, HeldStep>();
    this.#held.set(at.index, steps.set(at.step, { reason, isSkipped }));
  }

  get statistics(): ExecutorStatistics {
    return {
      commandsExecuted: this.#commandsExecuted,
      commandsRepeated: this.#commandsRepeated,
      sessions: this.#sessions.counts,
      sessionsOpen: this.#sessions.count,
      idempotencyKeys: this.#keys.count,
    };
  }

  /** Undefined if the machine keeps none. */
  get machineStatistics(): MachineStatistics | undefined {
    return this.#versions.instance.statistics;
  }

  /** One `Executed` for each request of the entry, in order. Look at `broken` and at `unfinished` afterwards. */
  execute(entry: Entry): readonly Executed[] {
    checkWhole(this.#midEntry);
    if (this.#broken !== undefined) return [];
    checkNextEntry(entry, this.#index, this.#time);
    const work = this.#unfinished?.work ?? this.#begin(entry);
    if (work === undefined) return [];
    this.#midEntry = true;
    if (!this.#apply(entry, work)) {
      this.#midEntry = false;
      return [];
    }

    this.#index = entry.index;
    this.#time = entry.time;
    this.#held.delete(entry.index);
    const executed = work.filtered.map(executedOf);
    this.#sessions.trim();
    this.#pace.count(entry, this.#reports.certificate?.bytes ?? 0, this.#hasStarted);
    this.#audits.executed(entry, executed, this.audited);
    this.#midEntry = false;
    this.#observe?.(entry, executed);
    return executed;
  }

  /** Undefined if this version cannot tell what it means. */
  #begin(entry: Entry): Work | undefined {
    this.#audits.begin(entry, this.#versions.instance);
    const requests = this.#requestsOf(entry);
    if (typeof requests === "string") {
      this.#broken = requests;
      return undefined;
    }
    this.#midEntry = true;
    this.#sessions.advance(entry.time);
    this.#keys.advance(entry.time);
    const work = this.#filterAll(requests);
    this.#midEntry = false;
    return work;
  }

  /** Whether the machine has executed it. Also without commands: agreed time moves on, and what is due happens. */
  #apply({ index, time }: Entry, work: Work): boolean {
    const { commands } = work;
    try {
      const outcomes = this.#versions.instance.apply({ index, time, commands, held: this.#held.get(index) });
      checkOutcomes(outcomes.length, commands.length);
      for (let at = 0; at < outcomes.length; at += 1) this.#settle(commands[at], outcomes[at]);
      this.#unfinished = undefined;
      return true;
    } catch (cause) {
      if (!(cause instanceof CannotFinish)) throw cause;
      this.#unfinished = { at: { index, step: cause.step }, reason: cause.reason, work };
      return false;
    }
  }

  /** Reads the state as of the last executed entry. */
  query(name: string, input: Uint8Array): Outcome {
    checkWhole(this.#midEntry);
    return this.#versions.instance.query(name, input, { index: this.#index, time: this.#time });
  }

  /** As of the last executed entry; undefined if the machine has no event of this name. */
  events(question: EventsQuestion): EventsAnswer | undefined {
    checkWhole(this.#midEntry);
    if (this.#versions.machine.eventNames?.includes(question.name) !== true) return undefined;
    return this.#versions.instance.events?.(question, { index: this.#index, time: this.#time });
  }

  /** The earliest agreed time at which something is due although no client asks: then a `time` entry is wanted. */
  dueAt(): AgreedTime | undefined {
    const tables = earliest(this.#sessions.dueAt(), this.#keys.dueAt());
    return earliest(earliest(this.#versions.instance.dueAt(), tables), this.#audits.dueAt());
  }

  /** Equal for equal replicated states: index, agreed time, machine, sessions, keys, limits. 32 bytes. Costs a walk through the tables. */
  digest(): Uint8Array {
    checkWhole(this.#midEntry || this.#unfinished !== undefined);
    const tables = this.#freeze();
    const digest = digestOf(this.#hash, this.#rules, { ...tables.parts, machine: this.#versions.instance });
    tables.release();
    return digest;
  }

  /**
   * Looks at everything again, as it lies in memory, in steps of a few microseconds, between which entries come. Answers the names of the parts
   * that are not what was written any more: from then on this replica's digests tell. None if a checkpoint is installed meanwhile.
   */
  *scrubbing(): Steps<readonly string[]> {
    const installs = this.#installs;
    const steps = scrubbing(this.audited, this.#control);
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) {
        if (value.length > 0) this.#audits.damaged(value, this.#index);
        return value;
      }
      yield;
      if (this.#installs !== installs) return [];
    }
  }

  /** Costs the same however large the state is; what of it changes later is kept as it was until then. */
  fork(): ExecutorFork {
    checkWhole(this.#midEntry || this.#unfinished !== undefined);
    const machine = this.#versions.instance.fork();
    const tables = this.#freeze();
    return {
      ...tables.parts,
      machine,
      release: () => {
        machine.release();
        tables.release();
      },
    };
  }

  /** Everything but the machine. */
  #freeze(): { readonly parts: Omit<ExecutorFork, "machine" | "release">; readonly release: () => void } {
    const sessions = freezeSessions(this.#sessions);
    const keys = freezeKeys(this.#keys);
    const parts = {
      index: this.#index,
      time: this.#time,
      sessions: sessions.chunks,
      keys: keys.chunks,
      reports: this.#reports.encode(),
      members: encodeConfiguration(this.#configuration),
      audits: this.#audits.encode(),
      versions: this.#versions.encode(),
    };
    const release = (): void => {
      sessions.release();
      keys.release();
    };
    return { parts, release };
  }

  /**
   * Replaces everything in its last step, and goes on as before until then. Answers why not, if the chunks are not in this version's form: then
   * nothing may be executed on.
   */
  *installing(state: ExecutorState): Steps<string | undefined> {
    const objection = yield* this.#installing(state);
    if (objection !== undefined) this.#broken = "Cannot execute: a checkpoint was not installed.";
    return objection;
  }

  *#installing(state: ExecutorState): Steps<string | undefined> {
    const versions = this.#versions.prepare(state.versions);
    if (versions === undefined) return "Cannot install a checkpoint: its versions are malformed.";
    if ("cannot" in versions) return (this.#lacksVersion = versions.cannot);
    const sessions = yield* readSessions(this.#limits.sessions, state.sessions);
    if (sessions === undefined) return "Cannot install a checkpoint: its sessions are malformed.";
    const keys = yield* readKeys(this.#limits.idempotency, state.time, state.keys);
    if (keys === undefined) return "Cannot install a checkpoint: its keys are malformed.";
    const reports = new ReportTable(this.reportRules);
    if (!reports.install(state.reports)) return "Cannot install a checkpoint: its reports are malformed.";
    const configuration = decodeConfiguration(state.members);
    if (configuration === undefined) return "Cannot install a checkpoint: its members are malformed.";
    let machine: MachineInstance;
    try {
      machine = yield* versions.install(state.machine);
    } catch (cause) {
      if (cause instanceof InvariantViolation || !(cause instanceof Error)) throw cause;
      return `Cannot install a checkpoint: ${cause.message}`;
    }
    // The machine has just become that of the checkpoint: so does the rest, in the same step.
    checkWhole(this.#midEntry);
    this.#versions.become(versions.state, machine);
    this.#sessions.become(sessions);
    this.#keys.become(keys);
    this.#reports.become(reports);
    if (configuration.index > noIndex) this.#configuration = configuration;
    if (!this.#audits.install(state.audits)) return "Cannot install a checkpoint: its audits are malformed.";
    this.#installs += 1;
    this.#control.note(this.audited);
    this.#pace.restart();
    this.#unfinished = undefined;
    for (const index of this.#held.keys()) if (index <= state.index) this.#held.delete(index);
    this.#index = state.index;
    this.#time = state.time;
    return undefined;
  }

  /** As before the first entry: nothing of what was executed or installed is left. */
  restart(): void {
    checkWhole(this.#midEntry);
    const { sessions, idempotency } = this.#limits;
    this.#versions.restart();
    this.#sessions.become(new SessionTable(sessions));
    this.#keys.become(new IdempotencyTable(idempotency));
    this.#reports.become(new ReportTable(this.reportRules));
    this.#configuration = { ...noEntry, membership: this.#founders };
    this.#audits.restart();
    this.#installs += 1;
    this.#control.note(this.audited);
    this.#held.clear();
    this.#unfinished = undefined;
    this.#pace.restart();
    this.#index = noIndex;
    this.#time = 0;
    this.#broken = undefined;
  }

  /** A sentence if this version cannot tell what the entry means: to go on without it would be to differ from those that can. */
  #requestsOf(entry: Entry): Requests | string {
    const { kind, payload } = entry;
    this.#hasStarted = false;
    this.#signers = undefined;
    switch (kind) {
      case "noop":
      case "checkpoint":
        return [];
      case "time":
        return this.#versions.beforeRequests() ?? [];
      case "batch":
        return this.#versions.beforeRequests() ?? this.#batch(payload) ?? unknownForm(entry);
      case "report":
        return this.#report(entry) ?? unknownForm(entry);
      case "configuration":
        return this.#configure(entry, decodeMembership(payload)) ?? unknownForm(entry);
      case "version":
        return this.#changeVersion(entry) ?? unknownForm(entry);
      case "record":
        return unknownForm(entry);
      default:
        return unreachable(kind);
    }
  }

  #batch(payload: Uint8Array): Requests | undefined {
    const batch = decodeAttributed(payload, newRunning);
    this.#signers = batch?.signers;
    return batch?.requests;
  }

  #report({ payload, index }: Entry): Requests | undefined {
    const reports = reportsIn(payload, this.reportRules, this.#configuration);
    if (reports === undefined) return undefined;
    for (const { kind, report, executed } of reports) {
      switch (kind) {
        case "audit":
          this.#audits.add(report);
          break;
        case "checkpoint":
          this.#changeControl(() => this.#reports.add(report));
          break;
        case "offer":
          this.#versions.offer(report, this.#configuration, { executed, index });
          break;
        case "skip":
          this.#changeControl(() => this.#reports.addSkip(report));
          break;
        default:
          unreachable(kind);
      }
    }
    return [];
  }

  /** Before anything else of the entry: what is due by time at it is the new version's. */
  #changeVersion({ payload, index, time }: Entry): Requests | string | undefined {
    const change = decodeVersionChange(payload);
    if (change === undefined) return undefined;
    const outcome = this.#versions.change(change, { index, time }, this.#configuration);
    if (typeof outcome === "object") return (this.#lacksVersion = outcome.cannot);
    this.#hasStarted = outcome === "started";
    return [];
  }

  /** What is damaged by then is found now: afterwards it would be part of what is right. */
  #changeControl(change: () => void): void {
    if (!this.#control.isIntact(this.audited)) this.#audits.damaged(["the members"], this.#index);
    change();
    this.#control.note(this.audited);
  }

  /** Who counts is the core's affair, from the moment an entry is appended; here it is remembered for checkpoints. */
  #configure({ index, term }: Entry, membership: Membership | undefined): Requests | undefined {
    if (membership === undefined) return undefined;
    this.#changeControl(() => {
      this.#configuration = { index, term, membership };
    });
    this.#versions.configured(this.#configuration);
    return [];
  }

  /** Everything replicated, as it lies in memory: for looking, and for a simulator that damages it there. */
  get audited(): Audited {
    return {
      machine: this.#versions.instance,
      sessions: this.#sessions,
      keys: this.#keys,
      reports: this.#reports,
      configuration: this.#configuration,
      versions: this.#versions,
      rules: this.#rules,
    };
  }

  #filterAll(requests: Requests): Work {
    // Lists of the right length from the start: most entries hold nothing but commands that run.
    const filtered = requests.map((request, ordinal) => {
      if (request.kind === "command") request.ordinal = ordinal;
      return this.#filter(request, this.#signers?.[ordinal]);
    });
    return { filtered, commands: filtered.every(isRunning) ? filtered : filtered.filter(isRunning) };
  }

  /** A session serves whoever opened it. In its name nobody else is served, and nobody who waits for its answers is told of that. */
  #filter(request: Requests[number], signer: string | undefined): Filtered | Running {
    if (signer !== undefined && request.kind !== "open") {
      const { session } = request;
      const owner = this.#sessions.ownerOf(session) ?? signer;
      if (!isInNameOf(signer, owner)) {
        return { key: toNobody, answer: refused({ code: "SESSION_UNKNOWN", session }), repeated: false };
      }
    }
    if (request.kind !== "command") return this.#executeOther(request);
    if (signer !== undefined) putInName(signer, request);
    return this.#filterCommand(request);
  }

  /** The session decides first, then the idempotency key; a command that passes both runs, and stands for itself. */
  #filterCommand(command: Running): Filtered | Running {
    const known = this.#sessions.lookUp(command);
    if (known !== undefined) {
      const repeated = known.status !== "refused";
      if (repeated) this.#commandsRepeated += 1;
      return { key: keyOf(command), answer: known, repeated };
    }
    const { session, number, idempotency } = command;
    const held = idempotency === undefined ? undefined : this.#keys.lookUp(idempotency);
    if (held !== undefined) return this.#spendOnHeld(command, held);
    this.#sessions.spend(session, number, command);
    if (idempotency !== undefined) this.#keys.hold(idempotency, command);
    return command;
  }

  /** The number is spent on what its key gives, a refusal included: requests behind it must not wait for it. */
  #spendOnHeld(command: Running, held: Kept): Filtered {
    let answer = held;
    if (held.status === "running") {
      answer = command;
      held.twins ??= [];
      held.twins.push(command);
    }
    this.#sessions.spend(command.session, command.number, answer);
    const repeated = held.status !== "refused";
    if (repeated) this.#commandsRepeated += 1;
    return { key: keyOf(command), answer, repeated };
  }

  #executeOther(request: Exclude<Request, CommandRequest>): Filtered {
    const key = keyOf(request);
    switch (request.kind) {
      case "open": {
        const { reply, repeated } = this.#sessions.open(request);
        return { key, answer: reply, repeated };
      }
      case "resolve":
        return { key, answer: this.#sessions.resolve(request), repeated: false };
      case "keepAlive":
        return { key, answer: this.#sessions.keepAlive(request), repeated: false };
      case "close":
        return { key, answer: this.#sessions.close(request), repeated: false };
      default:
        return unreachable(request);
    }
  }

  #settle(running: Running | undefined, outcome: Outcome | undefined): void {
    if (running === undefined || outcome === undefined) return;
    this.#commandsExecuted += 1;
    const { idempotency, twins } = running;
    const reply = this.#replyOf(outcome, idempotency === undefined ? undefined : this.#keys.expiryOfNew());
    this.#answer(running, reply);
    if (twins !== undefined) for (const twin of twins) this.#answer(twin, reply);
    if (idempotency !== undefined) this.#keys.settle(idempotency, reply);
  }

  #answer(running: Running, reply: Reply): void {
    running.reply = reply;
    this.#sessions.settle(running, reply);
  }

  /** A machine that answers the same once more is answered for by the same reply. */
  #replyOf(outcome: Outcome, expiresAt: number | undefined): Reply {
    if (expiresAt !== undefined) return replyOf(outcome, expiresAt);
    if (this.#settled?.outcome !== outcome) this.#settled = { outcome, reply: replyOf(outcome, undefined) };
    return this.#settled.reply;
  }
}

function newRunning(bytes: Uint8Array): Running {
  return new Running(bytes);
}

/** Keys of different signers are different ones, whatever principal they name: nobody takes another's. */
function putInName(signer: string, command: Running): void {
  const { idempotency } = command;
  if (idempotency === undefined) return;
  command.idempotency = { ...idempotency, principal: `${signer}/${idempotency.principal}` };
}

/** No session has the number 0. */
const toNobody: RequestKey = { kind: "close", session: 0 as SessionId };

function unknownForm({ index, kind }: Entry): string {
  return `Cannot execute entry ${index}: its ${kind} is not in a form that this version knows.`;
}

function isRunning(filtered: Filtered | Running): filtered is Running {
  return filtered instanceof Running;
}

function executedOf(filtered: Filtered | Running): Executed {
  if (filtered instanceof Running && filtered.reply !== undefined) return filtered as Running & { reply: Reply };
  const { key, answer, repeated } = filtered;
  return { key, reply: replyTo(answer), repeated };
}

function replyTo(answer: Kept | Resolution): Reply {
  if (answer.status !== "resolving") return settledReply(answer);
  return { status: "resolved", outcome: { kind: "executed", reply: settledReply(answer.of) } };
}

function earliest(left: AgreedTime | undefined, right: AgreedTime | undefined): AgreedTime | undefined {
  if (left === undefined) return right;
  return right === undefined || left <= right ? left : right;
}
