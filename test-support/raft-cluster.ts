/**
 * A deterministic cluster of Raft cores in memory: network, disks, processes and time from one seed.
 *
 * Owns: delay, loss, duplication, reordering, partitions, crashes that lose what was not yet written, restarts. Leaves to
 * others: the rules between replicas, checked as they could first break (`raft-judge.ts`), and what a test makes happen. Over 400 lines for
 * the reason that it is one object: every fault touches the same members and the same time.
 */
import { describeEffect, describeInput, describeState } from "../src/consensus/raft/describe.js";
import { newestConfiguration } from "../src/consensus/raft/configuration.js";
import type { RaftMessage } from "../src/consensus/raft/messages.js";
import { createRaftState, type RaftSettings, type RaftState, type Trust } from "../src/consensus/raft/state.js";
import { step, type RaftInput } from "../src/consensus/raft/step.js";
import type { RaftEffect } from "../src/consensus/raft/turn.js";
import { encodeUtf8 } from "../src/base/bytes.js";
import { nextBetween, nextFraction, randomStream, type Random } from "../src/base/random.js";
import { noEntry, type Entry } from "../src/model/entry.js";
import { logIndex, noTerm, type LogIndex, type ReplicaId } from "../src/model/ids.js";
import {
  describeChange,
  type Instruction,
  type InstructionOutcome,
  type MembershipChange,
} from "../src/model/instruction.js";
import type { LogWrite } from "../src/model/log.js";
import type { Member as ModelMember, MemberRole, Membership } from "../src/model/membership.js";
import { apply, applyTo, termRunsOf, textsOf, type Disk } from "./raft-disk.js";
import { testSettings } from "./raft-settings.js";
import { isSameEntry, RaftJudge, type BarrierResult } from "./raft-judge.js";
import { Timeline } from "./timeline.js";
import { decodeRaftMessage, encodeRaftMessage } from "../src/wire/raft-codec.js";

export interface ClusterOptions {
  readonly replicas: number;
  readonly learners?: number;
  readonly seed: number;
  readonly settings?: Partial<RaftSettings>;
  readonly network?: Partial<NetworkFaults>;
  readonly diskMs?: readonly [number, number];
  /** Tell replicas when a process they were linked to dies and comes back, as TCP does. On by default. */
  readonly links?: boolean;
  /** Every message through the codec. */
  readonly wire?: boolean;
  /** Newest entries that a restarted replica finds in memory. */
  readonly tailCount?: number;
}

export interface NetworkFaults {
  readonly delayMs: readonly [number, number];
  readonly loss: number;
  readonly duplication: number;
  /** Each message takes its own time instead of following the one before. */
  readonly reorder: boolean;
}

interface Member {
  readonly id: ReplicaId;
  state: RaftState;
  alive: boolean;
  paused: boolean;
  /** Grows at each crash: what an earlier process had scheduled does not reach this one. */
  life: number;
  readonly disk: Disk;
  /** Empty at a replica that joined. */
  readonly founding: Membership;
  /** What the log looks like with all writes that were asked for. */
  image: Entry[];
  pending: { write: LogWrite; then: readonly { to: ReplicaId; message: RaftMessage }[] }[];
  diskFreeAt: number;
  diskStalled: boolean;
  executed: Entry[];
  missed: RaftInput[];
  /** Until then every pre-vote of this replica is answered with yes, whatever the others think. */
  urgedUntil: number;
}

const tickMs = 5;

export class RaftCluster {
  readonly #timeline = new Timeline();
  /** Inputs (but ticks) and effects, one a line, while `traced` is on. */
  readonly trace: string[] = [];
  traced = false;
  /** How instructions ended, by id. */
  readonly outcomes = new Map<number, InstructionOutcome>();
  #instructions = 0;
  readonly #judge = new RaftJudge((rule) => this.#fail(rule));
  network: NetworkFaults;
  readonly #options: ClusterOptions;
  readonly #random: Random;
  readonly #members = new Map<ReplicaId, Member>();
  readonly #voters: readonly ReplicaId[];
  readonly #blocked = new Set<string>();
  readonly #arrivals = new Map<string, number>();
  /** The last try whose pre-vote was answered for an urged replica. */
  readonly #granted = new Map<RaftState, number>();
  #diskMs: readonly [number, number];

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#random = randomStream(options.seed, "cluster");
    this.network = { delayMs: [1, 1], loss: 0, duplication: 0, reorder: false, ...options.network };
    this.#diskMs = options.diskMs ?? [1, 1];
    const ids = [..."abcdefghi"].slice(0, options.replicas + (options.learners ?? 0));
    this.#voters = ids.slice(0, options.replicas);
    const members = ids.map((id) => memberOf(id, this.#voters.includes(id) ? "voter" : "learner"));
    for (const id of ids) this.#found(id, { members });
  }

  #found(id: ReplicaId, founding: Membership): void {
    const disk: Disk = { hardState: { term: noTerm, votedFor: undefined }, entries: [] };
    const state = this.#boot({ id, founding, disk }, "whole");
    this.#members.set(id, {
      ...{ id, state, alive: true, paused: false, life: 0, disk, founding, image: [], pending: [] },
      ...{ diskFreeAt: 0, diskStalled: false, executed: [], missed: [], urgedUntil: 0 },
    });
    this.#scheduleTick(id, 0, nextBetween(this.#random, 0, tickMs - 1));
  }

  /** A new process with an empty disk, that knows no members: it waits to be added. */
  join(...ids: readonly ReplicaId[]): this {
    for (const id of ids) this.#found(id, { members: [] });
    return this;
  }

  /** Asks whoever leads to change the members, again while it is busy, until that is done everywhere it must be. */
  change(change: MembershipChange): this {
    let asked: number | undefined;
    const isDone = (): boolean => {
      const outcome = asked === undefined ? "BUSY" : this.outcomes.get(asked);
      if (outcome === "done") return true;
      const [leader] = this.leading;
      if (outcome !== undefined && leader !== undefined) asked = this.instruct(leader, { kind: "change", change });
      return false;
    };
    return this.until(describeChange(change), isDone);
  }

  add(...ids: readonly ReplicaId[]): this {
    for (const id of ids) this.change({ kind: "add", id, peer: `${id}:1`, client: `${id}:2`, role: "joining" });
    return this;
  }

  /** The newest configuration in this replica's log, as text: voters first. */
  members(id: ReplicaId): string {
    const { members, before } = newestConfiguration(this.state(id)).membership;
    const named = (list: readonly ModelMember[]): string =>
      list
        .map((member) => (member.role === "voter" ? member.id : `${member.id} (${member.role})`))
        .sort()
        .join(" ");
    return before === undefined ? named(members) : `${named(before)} -> ${named(members)}`;
  }

  get now(): number {
    return this.#timeline.now;
  }

  /** What is decided at each index, from 1. */
  get decided(): readonly Entry[] {
    return this.#judge.decided;
  }

  get barriers(): readonly BarrierResult[] {
    return this.#judge.barriers;
  }

  get replicas(): readonly ReplicaId[] {
    return [...this.#members.keys()];
  }

  get voters(): readonly ReplicaId[] {
    return this.#voters;
  }

  state(id: ReplicaId): RaftState {
    return this.#member(id).state;
  }

  isAlive(id: ReplicaId): boolean {
    return this.#member(id).alive;
  }

  /** Texts of the client entries that this replica's process has executed, in order. */
  executed(id: ReplicaId): string[] {
    return textsOf(this.#member(id).executed);
  }

  durable(id: ReplicaId): readonly Entry[] {
    return this.#member(id).disk.entries;
  }

  /** Replicas that lead now, by their own opinion. */
  get leading(): ReplicaId[] {
    return this.replicas.filter((id) => this.isAlive(id) && this.state(id).role.kind === "leader");
  }

  run(ms: number): this {
    this.#timeline.runUntil(this.now + ms);
    return this;
  }

  /** Runs until `holds`, or fails after `limitMs` of logical time. */
  until(claim: string, holds: () => boolean, limitMs = 5_000): this {
    const end = this.now + limitMs;
    while (!holds()) {
      if (this.#timeline.next(end)) continue;
      const states = this.replicas.map(
        (id) => `\n  ${this.isAlive(id) ? "" : "dead "}${describeState(this.state(id))}`,
      );
      this.#fail(`not within ${limitMs} ms: ${claim}${states.join("")}\n`);
    }
    return this;
  }

  /** A leader whose term is settled and whom no higher term is known to oppose. */
  untilLeader(options: { readonly not?: ReplicaId; readonly limitMs?: number } = {}): ReplicaId {
    let found: ReplicaId | undefined;
    const look = (): boolean => {
      found = this.leading.find((id) => id !== options.not && this.state(id).view.settledAt !== undefined);
      return found !== undefined;
    };
    this.until("somebody leads", look, options.limitMs ?? 5_000);
    if (found === undefined) throw new Error("no leader");
    return found;
  }

  submit(id: ReplicaId, ...texts: readonly string[]): this {
    const proposals = texts.map(
      (text) => ({ kind: "batch", time: Math.floor(this.now), payload: encodeUtf8(text) }) as const,
    );
    this.input(id, { kind: "propose", proposals });
    return this;
  }

  /** Every live replica has executed `text`. */
  untilExecuted(text: string, limitMs = 5_000): this {
    const live = (): ReplicaId[] => this.replicas.filter((id) => this.isAlive(id));
    return this.until(
      `"${text}" is executed everywhere`,
      () => live().every((id) => this.executed(id).includes(text)),
      limitMs,
    );
  }

  /** Told to this replica; the id under which its outcome will be found. */
  instruct(at: ReplicaId, instruction: Instruction): number {
    this.#instructions += 1;
    this.input(at, { kind: "instruct", id: this.#instructions, instruction });
    return this.#instructions;
  }

  barrier(id: ReplicaId): BarrierResult {
    const result = this.#judge.onBarrierAsked(id);
    this.input(id, { kind: "barrier", id: result.id });
    return result;
  }

  /** No message passes between these and all others; links stay open, as behind a router that drops. */
  cutOff(ids: readonly ReplicaId[]): this {
    for (const inside of ids) {
      for (const outside of this.replicas)
        if (!ids.includes(outside)) this.block(inside, outside).block(outside, inside);
    }
    return this;
  }

  block(from: ReplicaId, to: ReplicaId): this {
    this.#blocked.add(`${from}>${to}`);
    return this;
  }

  heal(): this {
    this.#blocked.clear();
    return this;
  }

  /** The network and disks without faults from here on. */
  calm(): this {
    this.network = { delayMs: [1, 1], loss: 0, duplication: 0, reorder: false };
    this.#diskMs = [1, 1];
    return this;
  }

  /** Ends the process. Of its unfinished writes some may have reached the disk, in order, without anybody being told. */
  crash(id: ReplicaId, options: { readonly keepWrites?: number } = {}): this {
    const member = this.#member(id);
    if (!member.alive) return this;
    const kept = options.keepWrites ?? nextBetween(this.#random, 0, member.pending.length);
    for (const { write } of member.pending.slice(0, kept)) apply(member.disk, write);
    const ended = { alive: false, paused: false, diskStalled: false, life: member.life + 1 };
    Object.assign(member, { ...ended, pending: [], executed: [], missed: [] });
    if (this.#hasLinks()) this.#tellOthers(id, "disconnected");
    return this;
  }

  restart(id: ReplicaId, trust: Trust = "whole"): this {
    const member = this.#member(id);
    if (member.alive) return this;
    member.image = [...member.disk.entries];
    member.state = this.#boot(member, trust);
    member.alive = true;
    member.diskFreeAt = this.now;
    this.#scheduleTick(id, member.life, tickMs);
    if (!this.#hasLinks()) return this;
    this.#tellOthers(id, "connected");
    for (const other of this.replicas) {
      if (other !== id && !this.isAlive(other)) this.input(id, { kind: "disconnected", peer: other });
    }
    return this;
  }

  /**
   * Makes a replica stand again and again for `ms`, whatever the others would say to a pre-vote: that is a courtesy which keeps
   * elections rare, and safety must not rest on it.
   */
  urge(id: ReplicaId, ms: number): this {
    const { leader } = this.state(id).view;
    this.#member(id).urgedUntil = this.now + ms;
    if (leader === undefined || leader === id) return this;
    this.input(id, { kind: "disconnected", peer: leader });
    this.input(id, { kind: "connected", peer: leader });
    return this;
  }

  /** Stops a process without ending it; what arrives meanwhile waits in its sockets. */
  pause(id: ReplicaId): this {
    this.#member(id).paused = true;
    return this;
  }

  resume(id: ReplicaId): this {
    const member = this.#member(id);
    member.paused = false;
    this.input(id, { kind: "tick" });
    for (const input of member.missed.splice(0)) this.input(id, input);
    return this;
  }

  /** Writes of this replica do not complete until `releaseDisk`. */
  stallDisk(id: ReplicaId): this {
    this.#member(id).diskStalled = true;
    return this;
  }

  releaseDisk(id: ReplicaId): this {
    const member = this.#member(id);
    member.diskStalled = false;
    for (const { write } of member.pending) this.#scheduleWrite(member, write);
    return this;
  }

  input(id: ReplicaId, input: RaftInput): void {
    const member = this.#member(id);
    if (!member.alive) return;
    if (member.paused) {
      if (input.kind !== "tick") member.missed.push(input);
      return;
    }
    const effects = step(member.state, input, this.now);
    if (this.traced && (input.kind !== "tick" || effects.length > 0)) {
      this.trace.push(`${this.now} ${id} ${describeInput(input)}`);
      for (const effect of effects) this.trace.push(`      ${describeEffect(effect)}`);
    }
    for (const effect of effects) this.#perform(member, effect);
    if (this.now < member.urgedUntil && member.state.role.kind === "preCandidate") this.#grant(member);
  }

  checkLogMatching(): void {
    this.#judge.checkLogs(new Map([...this.#members.values()].map(({ id, image }) => [id, image])));
  }

  #boot({ id, founding, disk }: Pick<Member, "id" | "founding" | "disk">, trust: Trust): RaftState {
    const { settings, tailCount } = this.#options;
    const options = {
      ...{ self: id, incarnation: 1, membership: founding, hardState: disk.hardState, trust },
      log: {
        start: noEntry,
        lastIndex: indexOf(disk.entries.length),
        terms: termRunsOf(disk.entries),
        tail: disk.entries.slice(-(tailCount ?? 50)),
        configurations: disk.entries.filter(({ kind }) => kind === "configuration"),
      },
      settings: { ...testSettings, ...settings },
      seed: nextBetween(this.#random, 1, 1_000_000_000),
    };
    return createRaftState(options, this.now);
  }

  #grant({ id, state }: Member): void {
    const { term, attempt } = state;
    for (const from of state.voters) {
      if (from === id || state.attempt === this.#granted.get(state)) continue;
      this.#timeline.at(this.now, () => {
        this.input(id, { kind: "receive", from, message: { kind: "PreVoteReply", term, attempt, granted: true } });
      });
    }
    this.#granted.set(state, attempt);
  }

  #perform(member: Member, effect: RaftEffect): void {
    switch (effect.kind) {
      case "send":
        return this.#send(member.id, effect.to, effect.message);
      case "persist":
        applyTo(member.image, effect.write);
        member.pending.push({ write: effect.write, then: effect.then });
        if (!member.diskStalled) this.#scheduleWrite(member, effect.write);
        return;
      case "commit":
        return this.#execute(member, effect.upTo);
      case "load":
        return this.#load(member, effect);
      case "fetchCheckpoint":
        return this.#fail(`${member.id} lacks entries, though nobody has given any back`);
      case "role":
        if (effect.role.role === "leader") this.#judge.onLeader(member.id, effect.role.term, member.image);
        return;
      case "barrierPassed":
        return this.#judge.onBarrierAnswered(effect.id, effect.index);
      case "barrierFailed":
        return this.#judge.onBarrierAnswered(effect.id, undefined);
      case "members":
      case "resigned":
        return;
      case "instructed":
        this.outcomes.set(effect.id, effect.outcome);
        return;
    }
  }

  #scheduleWrite(member: Member, write: LogWrite): void {
    const { life } = member;
    member.diskFreeAt = Math.max(member.diskFreeAt, this.now + this.#draw(this.#diskMs));
    this.#timeline.at(member.diskFreeAt, () => {
      const first = member.pending[0];
      if (member.life !== life || member.diskStalled || first?.write.id !== write.id) return;
      member.pending.shift();
      apply(member.disk, first.write);
      for (const { to, message } of first.then) this.#send(member.id, to, message);
      this.input(member.id, { kind: "persisted", id: first.write.id });
    });
  }

  #load(member: Member, { peer, from, bytesMax }: RaftEffect & { kind: "load" }): void {
    const { life } = member;
    if (!isSameEntry(member.disk.entries[from - 1], member.image[from - 1]))
      this.#fail(`${member.id} loads ${from}, which is not on disk`);
    this.#timeline.at(this.now + 0.5, () => {
      if (member.life !== life) return;
      const count = Math.max(1, Math.floor(bytesMax / 80));
      const entries = member.image.slice(from - 1, from - 1 + count);
      if (entries.length > 0) this.input(member.id, { kind: "loaded", peer, from, entries });
    });
  }

  #send(from: ReplicaId, to: ReplicaId, message: RaftMessage): void {
    const { loss, duplication } = this.network;
    if (nextFraction(this.#random) < loss) return;
    this.#deliver(from, to, message);
    if (nextFraction(this.#random) < duplication) this.#deliver(from, to, message);
  }

  #deliver(from: ReplicaId, to: ReplicaId, message: RaftMessage): void {
    const link = `${from}>${to}`;
    let at = this.now + this.#draw(this.network.delayMs);
    if (!this.network.reorder) {
      at = Math.max(at, this.#arrivals.get(link) ?? 0);
      this.#arrivals.set(link, at);
    }
    const received = this.#options.wire === true ? decodeRaftMessage(encodeRaftMessage(message)) : message;
    if (received === undefined)
      this.#fail(`a message of our own is refused by the decoder: ${JSON.stringify(message)}`);
    else {
      this.#timeline.at(at, () => {
        if (!this.#blocked.has(link)) this.input(to, { kind: "receive", from, message: received });
      });
    }
  }

  #execute(member: Member, upTo: LogIndex): void {
    for (let index = member.executed.length + 1; index <= upTo; index += 1) {
      const entry = member.image[index - 1];
      if (entry === undefined) return this.#fail(`${member.id} commits ${index}, which it does not have`);
      const isInMemory = member.state.log.entriesFrom(entry.index, 0) !== undefined;
      if (!isInMemory && !isSameEntry(member.disk.entries[index - 1], entry))
        this.#fail(`${member.id} cannot read ${index}`);
      this.#judge.onExecuted(member.id, entry, this.#voterDisks(member));
      member.executed.push(entry);
    }
  }

  /** Of each set of voters that counts where an entry is executed first: that is at the leader that committed it. */
  #voterDisks({ state }: Member): readonly ReadonlyMap<ReplicaId, readonly Entry[]>[] {
    return state.voterSets.map(
      (voters) => new Map(voters.map((id) => [id, this.#members.get(id)?.disk.entries ?? []])),
    );
  }

  #tellOthers(peer: ReplicaId, kind: "connected" | "disconnected"): void {
    for (const other of this.replicas) {
      if (other === peer) continue;
      this.#timeline.at(this.now + this.#draw(this.network.delayMs), () => {
        if (this.isAlive(peer) === (kind === "connected")) this.input(other, { kind, peer });
      });
    }
  }

  #scheduleTick(id: ReplicaId, life: number, delayMs: number): void {
    this.#timeline.at(this.now + delayMs, () => {
      const member = this.#member(id);
      if (!member.alive || member.life !== life) return;
      this.input(id, { kind: "tick" });
      this.#scheduleTick(id, life, tickMs);
    });
  }

  #draw([min, max]: readonly [number, number]): number {
    return min === max ? min : min + nextFraction(this.#random) * (max - min);
  }

  #hasLinks(): boolean {
    return this.#options.links ?? true;
  }

  #member(id: ReplicaId): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new Error(`no replica ${id}`);
    return member;
  }

  #fail(rule: string): never {
    throw new Error(`${rule} (seed ${this.#options.seed}, at ${this.now} ms)`);
  }
}

function memberOf(id: ReplicaId, role: MemberRole): ModelMember {
  return { id, role, incarnation: 1, peer: `${id}:1`, client: `${id}:2` };
}

function indexOf(value: number): LogIndex {
  const index = logIndex(value);
  if (index === undefined) throw new Error(`${value} is no index`);
  return index;
}
