/**
 * Which version of the machine executes.
 *
 * Owns: the versions that this replica can run, the instance of the active one, and when another starts: at one entry, so everywhere at the
 * same index, if all members offer it, by a migration. Leaves to others: proposing that (`replica/version-keeper.ts`), the migration
 * itself (the machine). Called by the executor. What it decides follows from the entries alone, except that a replica which cannot run what the
 * others run stops.
 */
import type { LowLevelMachine, MachineEnvironment, MachineInstance, Position } from "../api/low-level.js";
import type { Steps } from "../base/steps.js";
import type { Configuration, Member } from "../model/membership.js";
import { anyIncarnation, membersOf } from "../model/membership.js";
import { noIndex, type LogIndex, type ReplicaId } from "../model/ids.js";
import { crashRules, type ReportRules } from "../model/report-rules.js";
import {
  firstVersion,
  versionAfter,
  type VersionChange,
  type VersionOffer,
  type VersionStart,
  type VersionState,
} from "../model/version.js";
import { decodeVersionState, encodeVersionState } from "../wire/version-codec.js";

/** What became of an entry: `cannot` is why this replica cannot go on, for whoever operates it. */
export type VersionOutcome = "started" | "failed" | "void" | { readonly cannot: string };

const unsigned = { executed: noIndex, index: noIndex };
const untouched: VersionState = { active: firstVersion, since: noIndex, hasBegun: false, offers: [], failed: [] };

export class Versions {
  /** Ascending. */
  readonly runnable: readonly number[];
  /** Oldest first, the last is the newest that this replica can run. */
  readonly #machines: readonly LowLevelMachine[];
  readonly #oldest: LowLevelMachine;
  readonly #environment: MachineEnvironment;
  readonly #rules: ReportRules;
  #state: VersionState = untouched;
  #instance: MachineInstance;

  constructor(machine: LowLevelMachine, environment: MachineEnvironment, rules: ReportRules = crashRules) {
    this.#rules = rules;
    this.#machines = versionsOf(machine);
    this.runnable = this.#machines.map(({ version }) => version);
    this.#oldest = this.#machines[0] ?? machine;
    this.#environment = environment;
    this.#instance = this.#first();
  }

  /** As before the first entry. */
  restart(): void {
    this.#state = untouched;
    this.#instance = this.#first();
  }

  get instance(): MachineInstance {
    return this.#instance;
  }

  get state(): VersionState {
    return this.#state;
  }

  /** The active one. */
  get machine(): LowLevelMachine {
    return this.#of(this.#state.active) ?? this.#oldest;
  }

  /** With which version this replica must begin a log before it may order requests; undefined if it may at once. */
  get toBegin(): number | undefined {
    const { hasBegun, active } = this.#state;
    return hasBegun || this.#of(active) !== undefined ? undefined : this.#oldest.version;
  }

  /** An entry of clients or of time is to be executed. Answers why not. */
  beforeRequests(): string | undefined {
    if (this.#state.hasBegun) return undefined;
    if (this.#of(this.#state.active) === undefined) return this.#cannotRun(this.#state);
    this.#state = { ...this.#state, hasBegun: true };
    return undefined;
  }

  /** At the entry that says so. */
  change(change: VersionChange, at: Position, configuration: Configuration): VersionOutcome {
    return change.kind === "begin" ? this.#begin(change.version, at.index) : this.#start(change, at, configuration);
  }

  /** For rehearsals: the next version that this program has starts here, whoever can run it. */
  rehearse(at: Position): VersionOutcome {
    const version = versionAfter(this.#state.active, this.runnable);
    return version === undefined ? "void" : this.#migrate(version, at);
  }

  offer(offer: VersionOffer, { index, membership }: Configuration, said = unsigned): void {
    const isUnknown = index === noIndex && this.#rules.believesPeers;
    const isMember = isUnknown || membersOf(membership).some(({ id }) => id === offer.replica);
    if (!isMember) return;
    const known = this.#state.offers.find(({ replica }) => replica === offer.replica);
    // Its replica has said something else since: somebody repeats what was taken back.
    if (said.executed < (known?.at ?? noIndex)) return;
    const others = this.#state.offers.filter((other) => other !== known);
    const at = this.#rules.believesPeers ? noIndex : said.index;
    const offers = [...others, { ...offer, at }].sort((left, right) => (left.replica < right.replica ? -1 : 1));
    this.#state = { ...this.#state, offers };
  }

  /** Members have changed: what others offer is forgotten. */
  configured({ membership }: Configuration): void {
    const members = membersOf(membership);
    const offers = this.#state.offers.filter(({ replica }) => members.some(({ id }) => id === replica));
    this.#state = { ...this.#state, offers };
  }

  /** What the order has of this replica is not what it can run now. */
  wantsOffer(replica: ReplicaId, incarnation: number): boolean {
    const known = this.#state.offers.find((offer) => offer.replica === replica);
    if (known === undefined) return versionAfter(this.#state.active, this.runnable) !== undefined;
    const { versions } = known;
    const isSame = versions.length === this.runnable.length && versions.every((each, at) => each === this.runnable[at]);
    return known.incarnation !== incarnation || !isSame;
  }

  /** What can be ordered now, since all of these members can run it. */
  nextFor({ index, membership }: Configuration): VersionStart | undefined {
    const { active, failed } = this.#state;
    const members = membersOf(membership);
    const [first] = members;
    const version = first && this.#offeredBy(first);
    if (version === undefined || failed.some((one) => one.version === version)) return undefined;
    if (members.some((member) => this.#offeredBy(member) !== version)) return undefined;
    return { kind: "start", from: active, version, configuration: index, members: members.map(({ id }) => id) };
  }

  encode(): Uint8Array[] {
    return [encodeVersionState(this.#state)];
  }

  /** Reads the versions of another state, and opens what its machine needs. Answers why not. */
  prepare(chunks: Iterable<Uint8Array>): Prepared | { readonly cannot: string } | undefined {
    const [chunk, ...more] = chunks;
    // A state of a release that knew no versions.
    const state = chunk === undefined ? { ...untouched, hasBegun: true } : decodeVersionState(chunk);
    if (state === undefined || more.length > 0) return undefined;
    const machine = this.#of(state.active);
    if (machine === undefined && !state.hasBegun)
      return { state, install: (machineChunks) => this.#installAs(this.#oldest, machineChunks) };
    if (machine === undefined) return { cannot: this.#cannotRun(state) };
    return { state, install: (machineChunks) => this.#installAs(machine, machineChunks) };
  }

  /** In the same step in which `install` has ended. */
  become(state: VersionState, instance: MachineInstance): void {
    this.#state = state;
    this.#instance = instance;
  }

  #begin(version: number, index: LogIndex): VersionOutcome {
    // Nobody has signed it, so a primary could make it up, and no replica could run what it says.
    if (this.#state.hasBegun || !this.#rules.believesPeers) return "void";
    const state = { ...this.#state, active: version, since: index, hasBegun: true };
    const machine = this.#of(version);
    if (machine === undefined) return { cannot: this.#cannotRun(state) };
    this.#state = state;
    this.#instance = machine.open(this.#environment);
    return "started";
  }

  #start(start: VersionStart, at: Position, configuration: Configuration): VersionOutcome {
    const { active, failed } = this.#state;
    const { from, version, members } = start;
    const isOffered = members.every((id) => {
      const offer = this.#state.offers.find(({ replica }) => replica === id);
      return offer !== undefined && versionAfter(from, offer.versions) === version;
    });
    const isTimely = from === active && start.configuration === configuration.index;
    const areMembers = this.#rules.believesPeers || areAll(members, configuration);
    if (!isTimely || !areMembers || !isOffered || failed.some((one) => one.version === version)) return "void";
    return this.#migrate(version, at);
  }

  #migrate(version: number, at: Position): VersionOutcome {
    const { active, failed } = this.#state;
    const state = { ...this.#state, active: version, since: at.index, hasBegun: true };
    const machine = this.#of(version);
    if (machine?.migrate === undefined || machine.previous?.version !== active)
      return { cannot: this.#cannotRun(state) };
    const migrated = machine.migrate(this.#environment, this.#instance, at);
    if (migrated.status === "failed") {
      const { message } = migrated;
      this.#state = { ...this.#state, failed: [...failed, { version, index: at.index, message }] };
      return "failed";
    }
    this.#state = state;
    this.#instance = migrated.instance;
    return "started";
  }

  *#installAs(machine: LowLevelMachine, chunks: Iterable<Uint8Array>): Steps<MachineInstance> {
    const instance = machine === this.machine ? this.#instance : machine.open(this.#environment);
    if (instance.installing === undefined) instance.install(chunks);
    else yield* instance.installing(chunks);
    return instance;
  }

  #first(): MachineInstance {
    return (this.#of(firstVersion) ?? this.#oldest).open(this.#environment);
  }

  #of(version: number): LowLevelMachine | undefined {
    return this.#machines.find((machine) => machine.version === version);
  }

  /** The version after the active one by what a member offers; nothing if it does not tell, or another disk of its has told. */
  #offeredBy({ id, incarnation, replaces }: Member): number | undefined {
    const offer = this.#state.offers.find(({ replica }) => replica === id);
    if (offer === undefined || offer.incarnation === replaces) return undefined;
    const isOfThisDisk = incarnation === anyIncarnation || incarnation === offer.incarnation;
    return isOfThisDisk ? versionAfter(this.#state.active, offer.versions) : undefined;
  }

  #cannotRun({ active, since }: VersionState): string {
    const { name } = this.#oldest;
    const when = since === noIndex ? "with which its log begins" : `which is active since entry ${since}`;
    return `Cannot run version ${active} of ${name}, ${when}: this program has ${listOf(this.runnable)}. Nothing is lost: start the program that the other replicas run, in which version ${active} and all up to the newest follow each other by "previous"`;
  }
}

/** Ready to take the place of what a replica has. */
export interface Prepared {
  readonly state: VersionState;
  readonly install: (chunks: Iterable<Uint8Array>) => Steps<MachineInstance>;
}

/** Not whoever orders says who must have offered it. */
function areAll(ids: readonly ReplicaId[], { membership }: Configuration): boolean {
  return (
    String(ids.toSorted()) ===
    String(
      membersOf(membership)
        .map(({ id }) => id)
        .toSorted(),
    )
  );
}

/** All that a machine has, oldest first. */
export function versionsOf(machine: LowLevelMachine): readonly LowLevelMachine[] {
  return machine.previous === undefined ? [machine] : [...versionsOf(machine.previous), machine];
}

function listOf(versions: readonly number[]): string {
  return versions.length === 1 ? `version ${versions.join()} alone` : `versions ${versions.join(", ")}`;
}
