/**
 * Executes entries again, offline, and tells what each did.
 *
 * Owns: from which state execution begins, going on entry by entry, and what is noted on the way: replies, what each call of the machine changed, and
 * whether the replicas that reported had what is computed here. Leaves to others: reading (`source.ts`), texts (`text.ts`).
 */
import type { ReplicatedLimits } from "../../api/config.js";
import type { LowLevelMachine, MachineFork, MachineInstance, MachineStep, StateChange } from "../../api/low-level.js";
import { equalBytes } from "../../base/bytes.js";
import { equalFingerprints } from "../../base/fingerprint.js";
import { entriesInChunks, type NamedEntry } from "../../collections/snapshot-format.js";
import type { Executed } from "../../execution/executor.js";
import { ReportTable } from "../../execution/report-table.js";
import type { AuditDigest } from "../../model/audit.js";
import type { Entry } from "../../model/entry.js";
import { after, noIndex, type LogIndex, type ReplicaId } from "../../model/ids.js";
import { decodeMembership } from "../../model/membership-codec.js";
import type { Membership } from "../../model/membership.js";
import type { Reply, Request } from "../../model/request.js";
import { decodeAuditReport } from "../../wire/audit-codec.js";
import { decodeReport } from "../../wire/checkpoint-codec.js";
import { encodeReply } from "../../wire/reply-codec.js";
import { decodeBatch } from "../../wire/request-codec.js";
import { CommandFailure, exitCodes } from "../exit-codes.js";
import type { ReplayExecutor, ReplaySource, ReplayStart } from "./source.js";

/** What one call of the machine changed; `more` are left out. `undefined`: the machine does not tell. */
export type Changes = { readonly shown: readonly StateChange[]; readonly more: number } | undefined;

export type ReplayedStep =
  | (Exclude<MachineStep, { readonly kind: "command" }> & { readonly changes: Changes })
  | {
      readonly kind: "request";
      readonly request: Request;
      /** Whose session it is, as far as it is open. */
      readonly principal: string;
      readonly reply: Reply;
      readonly repeated: boolean;
      readonly changes: Changes;
    };

/** What a replica reported, compared with what is computed here. */
export interface ComparedReport {
  readonly replica: ReplicaId;
  /** How many positions are equal; those before execution began here are not compared. */
  readonly equal: number;
  readonly different: readonly {
    readonly index: LogIndex;
    readonly parts: "outputs" | "state" | "outputs and state";
  }[];
}

export interface Replayed {
  readonly entry: Entry;
  /** In the order of execution. */
  readonly steps: readonly ReplayedStep[];
  readonly members: Membership | undefined;
  readonly report: ComparedReport | undefined;
  /** In evidence. */
  readonly remembered: readonly ComparedMemory[];
}

/** Of a replica that did not have what is computed here. */
export interface ComparedMemory {
  readonly replica: ReplicaId;
  /** By the places of the requests: what it answered, where that is something else. */
  readonly answers: readonly (Reply | undefined)[];
  readonly isStateEqual: boolean;
}

export interface ReplayerParts {
  readonly source: ReplaySource;
  readonly machine: LowLevelMachine;
  readonly limits: ReplicatedLimits;
}

/** Which changes are noted. */
export type Watch = (change: StateChange) => boolean;

/** Of one call of the machine. */
const changesMax = 100;
const positionsMax = 10_000;

export class Replayer {
  readonly #parts: ReplayerParts;
  #executor: ReplayExecutor | undefined;
  #instance: MachineInstance | undefined;
  #entries: AsyncGenerator<Entry, string | undefined> | undefined;
  #stopped: string | undefined;
  #watch: Watch | undefined;
  /** Of the entry at hand, if it is watched. */
  #steps: { readonly step: MachineStep; readonly changes: Changes }[] = [];
  #before: MachineFork | undefined;
  readonly #positions = new Map<LogIndex, AuditDigest>();
  #decided = 0;

  constructor(parts: ReplayerParts) {
    this.#parts = parts;
  }

  /** The last entry that was executed. */
  get index(): LogIndex {
    return this.#executor?.executedIndex ?? noIndex;
  }

  get time(): number {
    return this.#executor?.time ?? 0;
  }

  /** Why nothing can be executed from here on, although the log goes on. */
  get stopped(): string | undefined {
    return this.#stopped;
  }

  /** The last entry of which an executed one says that a replica had executed it: later ones may never have been decided. */
  get decided(): number {
    return this.#decided;
  }

  /** Begins with the newest state at or before `index` that can be used, `oldest` with the oldest. Answers what could not be used. @throws CommandFailure */
  begin(index: LogIndex | "oldest"): readonly string[] {
    const { source } = this.#parts;
    const possible =
      index === "oldest" ? source.starts : source.starts.filter((start) => start.index <= index).toReversed();
    const objections: string[] = [];
    for (const start of possible) {
      const objection = this.#beginAt(start);
      if (objection === undefined) return objections;
      objections.push(objection);
    }
    throw new CommandFailure(exitCodes.usage, this.#whyNot(index, objections), {});
  }

  /** Executes the next entry; undefined at the end. With `watch` the changes that it answers `true` for are noted, which takes longer. */
  async next(watch: Watch | undefined): Promise<Replayed | undefined> {
    if (this.#stopped !== undefined) return undefined;
    if (this.#entries === undefined) {
      await this.#lookAhead();
      this.#entries = this.#parts.source.entries(after(this.index));
    }
    const { done, value } = await this.#entries.next();
    if (done === true) {
      this.#stopped = value;
      return undefined;
    }
    this.#watch = watch;
    return this.#execute(value);
  }

  /** Executes up to `index`, without looking. */
  async goTo(index: LogIndex): Promise<void> {
    while (this.index < index && (await this.next(undefined)) !== undefined);
  }

  /** Every key of every collection; none if only the machine can read its state. */
  *contents(): Generator<NamedEntry, void> {
    const fork = this.#executor?.fork();
    yield* entriesInChunks(fork?.machine.chunks() ?? []);
    fork?.release();
  }

  /** What was skipped is said behind it. */
  async #lookAhead(): Promise<void> {
    const executor = this.#executor;
    if (executor?.reports === undefined || executor.configuration === undefined) return;
    const ahead = new ReportTable();
    ahead.install(executor.reports.encode());
    for await (const entry of this.#parts.source.entries(after(this.index))) {
      for (const skipped of ahead.look(entry, executor.configuration)) {
        if (skipped.at.index > this.index) executor.hold?.(skipped, true);
      }
    }
  }

  /** The same, and all versions before it, with what each call does noted here. */
  #watched(machine: LowLevelMachine): LowLevelMachine {
    const { name, version, commandNames, queryNames, eventNames = [], previous } = machine;
    const stepped = (step: MachineStep): void => this.#onStep(step);
    return {
      ...{ name, version, commandNames, queryNames, eventNames },
      previous: previous === undefined ? undefined : this.#watched(previous),
      admit: (command, input) => machine.admit(command, input),
      open: (environment) => {
        this.#instance = machine.open({ ...environment, stepped });
        return this.#instance;
      },
      migrate: (environment, from, at) => {
        const migrated = machine.migrate?.({ ...environment, stepped }, from, at);
        if (migrated === undefined) return { status: "failed", message: "it has no migration" };
        if (migrated.status === "migrated") this.#instance = migrated.instance;
        return migrated;
      },
    };
  }

  #beginAt(start: ReplayStart): string | undefined {
    this.#entries = undefined;
    this.#stopped = undefined;
    this.#positions.clear();
    this.#decided = start.index;
    const { machine, limits } = this.#parts;
    const opened = start.open({ machine: this.#watched(machine), limits });
    this.#executor = typeof opened === "string" ? undefined : opened;
    return typeof opened === "string" ? opened : undefined;
  }

  #whyNot(index: LogIndex | "oldest", objections: readonly string[]): string {
    const { path, starts } = this.#parts.source;
    const oldest = starts[0]?.index ?? 0;
    if (objections.length > 0) return `Cannot replay ${path}: ${objections.join("; ")}`;
    return `Cannot replay ${path} at entry ${index}: the oldest state that it holds is that behind entry ${oldest}, so --from must be ${oldest + 1} or later, and --to ${oldest} or later`;
  }

  #execute(entry: Entry): Replayed | undefined {
    const executor = this.#executor;
    if (executor === undefined) return undefined;
    const requests = entry.kind === "batch" ? (decodeBatch(entry.payload) ?? []) : [];
    const principals = requests.map((request) => this.#principalOf(request));
    this.#steps = [];
    this.#before = this.#watch === undefined ? undefined : this.#instance?.fork();
    const executed = executor.execute(entry);
    this.#before?.release();
    this.#before = undefined;
    const { broken, unfinished } = executor;
    if (broken !== undefined || unfinished !== undefined) {
      const step = `step ${unfinished?.at.step} cannot be finished here (${unfinished?.reason}), and the log does not say that it is skipped`;
      this.#stopped = broken ?? `Cannot execute entry ${entry.index}: ${step}`;
      return undefined;
    }
    this.#notePosition();
    const steps = this.#steps;
    return {
      entry,
      steps: [
        ...steps.flatMap(({ step, changes }) => (step.kind === "command" ? [] : [{ ...step, changes }])),
        ...requests.map((request, at): ReplayedStep => {
          const { reply, repeated } = executed[at] ?? { reply: { status: "closed" }, repeated: false };
          const own = steps.find(({ step }) => step.kind === "command" && step.ordinal === at);
          return { kind: "request", request, principal: principals[at] ?? "", reply, repeated, changes: own?.changes };
        }),
      ],
      members: entry.kind === "configuration" ? decodeMembership(entry.payload) : undefined,
      report: entry.kind === "report" ? this.#compare(entry.payload) : undefined,
      remembered: this.#compareRemembered(entry, executed),
    };
  }

  /** What replicas remembered of the entry, as far as it is not what was computed here. */
  #compareRemembered({ index }: Entry, executed: readonly Executed[]): readonly ComparedMemory[] {
    const remembered = this.#parts.source.remembered?.(index) ?? [];
    return remembered.flatMap(({ replica, entry: { content, state } }) => {
      const answers = executed.map(({ reply }, at) => {
        const its = content?.answers[at]?.reply;
        return its === undefined || equalBytes(encodeReply(its), encodeReply(reply)) ? undefined : its;
      });
      const own = this.#instance?.fingerprint?.();
      const isStateEqual = own === undefined || equalFingerprints(own, state);
      const isEqual = isStateEqual && answers.every((answer) => answer === undefined);
      return isEqual ? [] : [{ replica, answers, isStateEqual }];
    });
  }

  #principalOf(request: Request): string {
    if (request.kind === "open") return request.principal;
    const state = this.#executor?.sessions.state(request.session) ?? "unknown";
    return typeof state === "string" ? "" : state.principal;
  }

  #onStep(step: MachineStep): void {
    if (this.#watch !== undefined) this.#steps.push({ step, changes: this.#changesSinceLast() });
  }

  #changesSinceLast(): Changes {
    const now = this.#instance?.fork();
    const before = this.#before;
    if (now?.changesSince === undefined || before === undefined || this.#watch === undefined) {
      now?.release();
      return undefined;
    }
    const shown: StateChange[] = [];
    let more = 0;
    for (const change of now.changesSince(before)) {
      if (!this.#watch(change)) continue;
      if (shown.length < changesMax) shown.push(change);
      else more += 1;
    }
    before.release();
    this.#before = now;
    return { shown, more };
  }

  #notePosition(): void {
    const due = this.#executor?.audits.due;
    if (due === undefined) return;
    this.#positions.set(this.index, due);
    const [oldest] = this.#positions.keys();
    if (this.#positions.size > positionsMax && oldest !== undefined) this.#positions.delete(oldest);
  }

  #compare(payload: Uint8Array): ComparedReport | undefined {
    const audit = decodeAuditReport(payload);
    this.#decided = Math.max(this.#decided, audit?.positions.at(-1)?.index ?? decodeReport(payload)?.index ?? 0);
    if (audit === undefined) return undefined;
    let equal = 0;
    const different: { index: LogIndex; parts: "outputs" | "state" | "outputs and state" }[] = [];
    for (const reported of audit.positions) {
      const own = this.#positions.get(reported.index);
      if (own === undefined) continue;
      const isOutputEqual = equalFingerprints(own.output, reported.output);
      const isStateEqual = equalFingerprints(own.state, reported.state);
      if (isOutputEqual && isStateEqual) equal += 1;
      else {
        const parts = isOutputEqual ? "state" : isStateEqual ? "outputs" : "outputs and state";
        different.push({ index: reported.index, parts });
      }
    }
    return { replica: audit.replica, equal, different };
  }
}
