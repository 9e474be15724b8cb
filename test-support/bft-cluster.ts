/**
 * A deterministic cluster of PBFT cores in memory: network, disks, processes, clients and liars from one seed.
 *
 * Owns: delay, loss, duplication, partitions, crashes that lose what was not yet written, restarts, checkpoints and their transfer,
 * and the rules between replicas, checked as they could first break: agreement, validity, exactly once, and that nobody correct is
 * accused. Leaves to others: what a liar does (`src/sim/liars/`) and what a test makes happen. Over 400 lines for the reason that it is one
 * object: every fault touches the same members and the same time.
 */
import { contradicts } from "../src/consensus/bft/contradiction.js";
import { nextBetween, nextFraction, randomStream, type Random } from "../src/base/random.js";
import type {
  Batch,
  BftMessage,
  CheckpointCertificate,
  Ending,
  RequestName,
  Signed,
} from "../src/consensus/bft/messages.js";
import {
  batchAt,
  createBftState,
  roomOf,
  type BftRecord,
  type BftSettings,
  type BftState,
} from "../src/consensus/bft/state.js";
import { recordsOf } from "../src/consensus/bft/compaction.js";
import { step, type BftInput } from "../src/consensus/bft/step.js";
import type { BftEffect, Evidence, Say } from "../src/consensus/bft/turn.js";
import { endOf, welcomeOf } from "../src/consensus/bft/epoch.js";
import { after, noIndex, type LogIndex } from "../src/model/ids.js";
import type { Liar, LiarTools } from "../src/sim/liars/liar.js";
import { batchOf, changeOf, isGood, requestOf, sign } from "./bft-crypto.js";
import { Timeline } from "./timeline.js";

export interface BftClusterOptions {
  readonly replicas: number;
  readonly seed: number;
  readonly settings?: Partial<BftSettings>;
  readonly loss?: number;
  readonly duplication?: number;
  readonly delayMs?: readonly [number, number];
  readonly diskMs?: readonly [number, number];
}

interface Snapshot {
  readonly index: LogIndex;
  readonly digest: string;
  readonly log: readonly string[];
  readonly configured: Ending | undefined;
}

export interface BftMember {
  /** Its id, and a twin's with an apostrophe. */
  readonly name: string;
  readonly id: string;
  state: BftState;
  isAlive: boolean;
  life: number;
  readonly disk: BftRecord[];
  diskFreeAt: number;
  snapshots: Snapshot[];
  executed: LogIndex;
  digest: string;
  log: string[];
  /** The last change of members that it has executed. */
  configured: Ending | undefined;
  /** Whom it knew when it was started. */
  readonly known: readonly string[];
  done: Set<string>;
  readonly pending: Map<string, RequestName>;
  proposed: Set<string>;
  liar: Liar | undefined;
  readonly received: BftMessage[];
}

export const bftSettings: BftSettings = {
  windowCount: 16,
  checkpointInterval: 4,
  statusMs: 60,
  requestTimeoutMs: 200,
  requestTimeoutMsMax: 1600,
  waitingCountMax: 8,
};

const tickMs = 20;
/** So long a replica waits with a request before it tells the others. */
const overdueMs = 80;
const noDigest = "0";

export class BftCluster {
  readonly members: BftMember[] = [];
  readonly ids: readonly string[];
  readonly faults: number;
  readonly evidence: Evidence[] = [];
  refused = 0;
  /** Names of liars that have sent anything else than a correct replica. */
  readonly lied = new Set<string>();
  readonly #timeline = new Timeline();
  readonly #random: Random;
  readonly #options: BftClusterOptions;
  readonly #settings: BftSettings;
  #loss: number;
  readonly #blocked = new Set<string>();
  readonly #decided = new Map<LogIndex, string>();
  readonly #states = new Map<LogIndex, string>();
  readonly #submitted = new Map<string, RequestName>();
  readonly #changes = new Map<string, Batch>();
  readonly #epochs = new Map<number, string>();
  /** Where each request was executed, by ids. */
  readonly #executedAt = new Map<string, Set<string>>();

  constructor(options: BftClusterOptions) {
    this.#options = options;
    this.#settings = { ...bftSettings, ...options.settings };
    this.#random = randomStream(options.seed, "bft cluster");
    this.#loss = options.loss ?? 0;
    this.ids = "abcdefg".slice(0, options.replicas).split("");
    this.faults = Math.floor((options.replicas - 1) / 3);
    for (const id of this.ids) this.#addMember(id, id);
  }

  /** What the correct replicas know that have come furthest. */
  get newest(): BftState {
    const states = this.correct.map(({ state }) => state);
    return states.reduce((one, other) => (other.epoch > one.epoch ? other : one));
  }

  /** A replica that is no member, and knows those of now. */
  join(id: string): this {
    this.#addMember(
      id,
      id,
      this.newest.replicas.filter((each) => each !== id),
    );
    return this;
  }

  /** The administrator asks for these members, as `changeOf` names them. */
  change(members: readonly string[], epoch = this.newest.epoch): this {
    const batch = changeOf(epoch, members);
    const [request] = batch.requests;
    if (request === undefined) return this;
    this.#changes.set(request.id, batch);
    this.#submitted.set(request.id, request);
    this.#ask(request);
    return this;
  }

  get now(): number {
    return this.#timeline.now;
  }

  get decided(): ReadonlyMap<LogIndex, string> {
    return this.#decided;
  }

  get correct(): readonly BftMember[] {
    return this.members.filter((member) => !this.#isByzantine(member.id));
  }

  member(name: string): BftMember {
    const member = this.members.find((each) => each.name === name);
    if (member === undefined) throw new Error(`there is no ${name}`);
    return member;
  }

  corrupt(name: string, liar: Liar): this {
    this.member(name).liar = liar;
    return this;
  }

  /** The same keys run a second time. */
  twin(id: string): this {
    this.#addMember(`${id}'`, id);
    return this;
  }

  /** A client that lies may ask some replicas alone, by name: each tells the others what waits there for too long. */
  submit(client: string, number: number | string, names?: readonly string[]): this {
    const request = requestOf(client, number);
    this.#submitted.set(request.id, request);
    this.#ask(request, names);
    return this;
  }

  /** Executed at f + 1 correct replicas: then its client has its answer. */
  isAnswered(id: string): boolean {
    return (this.#executedAt.get(id)?.size ?? 0) > this.faults;
  }

  isExecutedByAll(id: string): boolean {
    const { replicas } = this.newest;
    return this.correct.every((member) => !replicas.includes(member.id) || member.done.has(id));
  }

  run(ms: number): this {
    this.#timeline.runUntil(this.now + ms);
    return this;
  }

  /** Runs until `condition` holds; fails with what every replica knows after `limitMs`. */
  until(condition: () => boolean, limitMs: number): this {
    const limit = this.now + limitMs;
    while (!condition()) {
      if (!this.#timeline.next(limit))
        throw new Error(`seed ${this.#options.seed}: no progress in ${limitMs} ms\n${this.describe()}`);
    }
    return this;
  }

  describe(): string {
    return this.members
      .map(({ name, state, executed, isAlive, liar }) => {
        const mode = state.isChanging ? "changing to" : "in";
        return `${name}${isAlive ? "" : " (down)"}${liar === undefined ? "" : ` (${liar.name})`}: epoch ${state.epoch} of ${state.replicas.join("")}, ${mode} view ${state.view}, stable ${state.stable.index}, committed ${state.committed}, executed ${executed}, proposed ${state.proposed}, view changes ${[...state.viewChanges.values()].map(({ by, statement }) => `${by}:${statement.view}`).join(" ")}`;
      })
      .join("\n");
  }

  crash(name: string): this {
    const member = this.member(name);
    if (!member.isAlive) return this;
    member.isAlive = false;
    member.life += 1;
    return this;
  }

  restart(name: string): this {
    const member = this.member(name);
    if (member.isAlive) return this;
    member.isAlive = true;
    member.life += 1;
    this.#load(member, member.snapshots.at(-1));
    member.pending.clear();
    member.proposed.clear();
    member.state = this.#stateFor(member);
    member.diskFreeAt = this.now;
    const newest = member.snapshots.at(-1);
    if (newest !== undefined) this.#step(member, { kind: "checkpointed", index: newest.index, digest: newest.digest });
    this.#tick(member, member.life);
    return this;
  }

  /** Nothing travels from one to the other, in this direction. */
  block(from: string, to: string): this {
    this.#blocked.add(`${from} ${to}`);
    return this;
  }

  /** Groups by name that hear only themselves; who is in no group hears nobody. */
  partition(groups: readonly (readonly string[])[]): this {
    for (const one of this.members) {
      for (const other of this.members) {
        const isTogether = groups.some((group) => group.includes(one.name) && group.includes(other.name));
        if (one !== other && !isTogether) this.block(one.name, other.name);
      }
    }
    return this;
  }

  heal(): this {
    this.#blocked.clear();
    return this;
  }

  calm(): this {
    this.#loss = 0;
    return this;
  }

  /** To one replica, through its edge, as if `from` had sent it. */
  deliver(from: string, name: string, message: BftMessage): this {
    this.#receive(this.member(name), from, message);
    return this;
  }

  #addMember(name: string, id: string, known = this.ids): void {
    const member: BftMember = {
      ...{ name, id, isAlive: true, life: 0, disk: [], diskFreeAt: this.now, snapshots: [] },
      ...{ executed: noIndex, digest: noDigest, log: [], done: new Set(), pending: new Map(), proposed: new Set() },
      ...{ liar: undefined, received: [], configured: undefined, known },
      state: createBftState(
        { self: id, replicas: known, settings: this.#settings, records: [], executed: noIndex },
        this.now,
      ),
    };
    this.members.push(member);
    this.#timeline.at(this.now + nextBetween(this.#random, 0, tickMs), () => this.#tick(member, member.life));
  }

  #stateFor({ id, disk, executed, configured, known }: BftMember): BftState {
    return createBftState(
      { self: id, replicas: known, settings: this.#settings, records: disk, executed, configured },
      this.now,
    );
  }

  #isByzantine(id: string): boolean {
    return this.members.some((each) => each.id === id && (each.liar !== undefined || each.name !== each.id));
  }

  #tick(member: BftMember, life: number): void {
    if (member.life !== life) return;
    this.#step(member, { kind: "tick" });
    this.#propose(member);
    this.#timeline.at(this.now + tickMs, () => this.#tick(member, life));
  }

  #step(member: BftMember, input: BftInput): void {
    for (const effect of step(member.state, input, this.now)) this.#perform(member, effect);
  }

  #perform(member: BftMember, effect: BftEffect): void {
    switch (effect.kind) {
      case "send":
        return this.#send(member, effect.to, effect.message);
      case "say":
        return this.#say(member, effect.say);
      case "persist":
        return this.#persist(member, effect);
      case "commit":
        return this.#execute(member, effect.upTo);
      case "fetchCheckpoint":
        return this.#fetch(member, effect.certificate);
      case "role":
        member.proposed = new Set();
        return this.#later(member, 0, () => this.#propose(member));
      case "epoch":
        if (this.#isByzantine(member.id)) return;
        return this.#agree(
          this.#epochs,
          effect.epoch,
          `${member.state.replicas.join("")} from ${member.state.base.index}`,
          member,
        );
      case "evidence":
        if (!this.#isByzantine(effect.evidence.by))
          this.#fail(`${member.name} accuses ${effect.evidence.by}, which is correct`);
        if (!contradicts(effect.evidence.first.statement, effect.evidence.second.statement))
          this.#fail(`${member.name} accuses ${effect.evidence.by} of what a correct replica may say`);
        this.evidence.push(effect.evidence);
        return;
    }
  }

  #persist(member: BftMember, { write, then }: BftEffect & { kind: "persist" }): void {
    const [min, max] = this.#options.diskMs ?? [0, 2];
    const compacted = write.records.some(({ kind }) => kind === "stable") ? recordsOf(member.state) : undefined;
    member.diskFreeAt = Math.max(member.diskFreeAt, this.now) + min + nextFraction(this.#random) * (max - min);
    this.#later(member, member.diskFreeAt - this.now, () => {
      if (compacted !== undefined) member.disk.splice(0);
      member.disk.push(...(compacted ?? write.records));
      for (const say of then) this.#say(member, say);
    });
  }

  /** Not if it has crashed by then. */
  #later(member: BftMember, ms: number, run: () => void): void {
    const { life } = member;
    this.#timeline.at(this.now + ms, () => {
      if (member.isAlive && member.life === life) run();
    });
  }

  #say(member: BftMember, { epoch, statement, batch }: Say): void {
    if (epoch !== member.state.epoch) return;
    const signed = sign(member.id, statement, epoch);
    const message: BftMessage =
      batch !== undefined && signed.statement.kind === "Prepare"
        ? { kind: "PrePrepare", prepare: signed as Signed<typeof signed.statement>, batch }
        : { kind: "Said", signed };
    for (const to of member.state.replicas) if (to !== member.id) this.#send(member, to, message);
    this.#later(member, 0, () => {
      if (epoch === member.state.epoch) this.#step(member, { kind: "receive", from: member.id, message });
    });
  }

  #send(member: BftMember, to: string, message: BftMessage): void {
    const { liar } = member;
    // Liars do not deceive one another.
    if (liar === undefined || this.members.some((other) => other.id === to && other.liar !== undefined))
      return this.#transmit(member, to, message);
    const messages = liar.outgoing(to, message, this.#toolsOf(member, to));
    if (messages.length !== 1 || messages[0] !== message) this.lied.add(liar.name);
    for (const each of messages) this.#transmit(member, to, each);
  }

  #toolsOf(member: BftMember, to: string): LiarTools {
    const { id, state, received } = member;
    const friends = this.members.filter(({ liar }) => liar !== undefined).map((each) => each.id);
    return {
      ...{ self: id, replicas: state.replicas, state, random: this.#random, now: this.now, friends, received, batchOf },
      sign: (statement, by = id) => {
        if (!friends.includes(by)) throw new Error(`${id} has no key of ${by}`);
        return sign(by, statement, state.epoch);
      },
      later: (ms, messages) =>
        this.#later(member, ms, () => {
          for (const each of messages()) this.#transmit(member, to, each);
        }),
    };
  }

  #transmit(from: BftMember, to: string, message: BftMessage, epoch = from.state.epoch): void {
    for (const target of this.members) {
      if (target.id !== to || this.#blocked.has(`${from.name} ${target.name}`)) continue;
      if (nextFraction(this.#random) < this.#loss) continue;
      const copies = nextFraction(this.#random) < (this.#options.duplication ?? 0) ? 2 : 1;
      const [min, max] = this.#options.delayMs ?? [0.5, 3];
      for (let copy = 0; copy < copies; copy += 1) {
        const delay = min + nextFraction(this.#random) * (max - min);
        this.#timeline.at(this.now + delay, () => this.#receive(target, from.id, message, epoch));
      }
    }
  }

  #receive(member: BftMember, from: string, message: BftMessage, epoch = member.state.epoch): void {
    if (!member.isAlive) return;
    const { state } = member;
    if (epoch !== state.epoch && state.epoch >= 0) {
      if (message.kind === "Status") this.#answerOther(member, from, epoch);
      return;
    }
    if (!isGood(message, epoch)) {
      this.refused += 1;
      return;
    }
    if (epoch !== state.epoch) {
      if (message.kind === "Stable")
        this.#step(member, { kind: "handover", epoch: epoch + 1, certificate: message.certificate });
      return;
    }
    if (member.liar !== undefined && member.received.push(message) > 200) member.received.shift();
    this.#step(member, { kind: "receive", from, message });
  }

  /** In an earlier epoch, or in none yet: it is told how the next began. */
  #answerOther(member: BftMember, to: string, epoch: number): void {
    const handover = epoch < 0 ? welcomeOf(member.state, to) : endOf(member.state, epoch);
    if (handover === undefined) return;
    const message = { kind: "Stable", certificate: handover.certificate } as const;
    this.#transmit(member, to, message, handover.epoch - 1);
  }

  #ask(request: RequestName, names?: readonly string[]): void {
    if (this.isAnswered(request.id) && this.isExecutedByAll(request.id)) return;
    for (const member of this.members) {
      if (names?.includes(member.name) === false) continue;
      if (nextFraction(this.#random) < this.#loss) continue;
      this.#timeline.at(this.now + nextFraction(this.#random) * 3, () => {
        this.#hear(member, request);
        if (names !== undefined) this.#later(member, overdueMs, () => this.#tellOthers(member, request));
      });
    }
    this.#timeline.at(this.now + 150, () => this.#ask(request, names));
  }

  #hear(member: BftMember, request: RequestName): void {
    if (!member.isAlive || member.done.has(request.id)) return;
    member.pending.set(request.id, request);
    this.#step(member, { kind: "request", request });
    this.#propose(member);
  }

  #tellOthers(member: BftMember, request: RequestName): void {
    if (this.#isByzantine(member.id) || !member.pending.has(request.id)) return;
    for (const other of this.members) {
      if (this.#blocked.has(`${member.name} ${other.name}`)) continue;
      this.#timeline.at(this.now + 2, () => this.#hear(other, request));
    }
  }

  #propose(member: BftMember): void {
    const isExecuted = member.state.proposed === member.executed;
    if (member.state.ending !== undefined) return this.#step(member, { kind: "fill", isExecuted });
    for (let room = roomOf(member.state); room > 0; room -= 1) {
      const waiting = [...member.pending.values()].filter(({ id }) => !member.proposed.has(id));
      const ordered = member.liar?.orders?.(waiting) ?? waiting;
      if (member.liar !== undefined && ordered.length !== waiting.length) this.lied.add(member.liar.name);
      const change = ordered.find(({ id }) => this.#changes.has(id));
      const requests = change === undefined ? ordered.slice(0, 2) : [change];
      if (requests.length === 0) return;
      for (const { id } of requests) member.proposed.add(id);
      const batch = this.#changes.get(change?.id ?? "") ?? batchOf(requests);
      this.#step(member, { kind: "propose", batches: [batch] });
    }
  }

  #execute(member: BftMember, upTo: LogIndex): void {
    while (member.executed < upTo) {
      const index = after(member.executed);
      const batch = batchAt(member.state, index);
      if (batch === undefined) return this.#fail(`${member.name} decided ${index} and does not have it`);
      this.#executeBatch(member, index, batch);
      if (index % this.#settings.checkpointInterval === 0) this.#checkpoint(member);
    }
  }

  #executeBatch(member: BftMember, index: LogIndex, { requests, digest }: Batch): void {
    member.executed = index;
    const { slots, ending } = member.state;
    if (slots.get(index)?.turning === "change") member.configured = ending;
    for (const { id, client } of requests) {
      member.pending.delete(id);
      if (member.done.has(id)) continue;
      member.done.add(id);
      member.log.push(id);
      member.digest = nextDigest(member.digest, id);
      if (this.#isByzantine(member.id)) continue;
      if (this.#submitted.get(id)?.client !== client)
        this.#fail(`${member.name} executed ${id}, which nobody asked for`);
      this.#executedAt.set(id, (this.#executedAt.get(id) ?? new Set()).add(member.id));
    }
    if (this.#isByzantine(member.id)) return;
    this.#agree(this.#decided, index, digest, member);
    this.#agree(this.#states, index, member.digest, member);
  }

  #agree(known: Map<number, string>, index: number, value: string, { name }: BftMember): void {
    const others = known.get(index);
    if (others !== undefined && others !== value) this.#fail(`${name} has ${value} at ${index}, another has ${others}`);
    known.set(index, value);
  }

  #checkpoint(member: BftMember): void {
    const { executed, digest, log, configured } = member;
    const snapshot = { index: executed, digest, log: [...log], configured };
    this.#later(member, 5, () => {
      member.snapshots = [...member.snapshots.slice(-2), snapshot];
      this.#step(member, { kind: "checkpointed", index: snapshot.index, digest: snapshot.digest });
    });
  }

  #fetch(member: BftMember, { index, digest }: CheckpointCertificate): void {
    for (const other of this.members) {
      if (!other.isAlive || this.#blocked.has(`${other.name} ${member.name}`)) continue;
      const snapshot = other.snapshots.find((each) => each.index === index && each.digest === digest);
      if (snapshot === undefined) continue;
      this.#later(member, 10, () => {
        if (snapshot.index <= member.executed) return;
        this.#load(member, snapshot);
        member.snapshots = [...member.snapshots.slice(-2), snapshot];
        for (const id of snapshot.log) member.pending.delete(id);
        if (!this.#isByzantine(member.id)) {
          for (const id of snapshot.log)
            this.#executedAt.set(id, (this.#executedAt.get(id) ?? new Set()).add(member.id));
        }
        this.#step(member, { kind: "installed", index: snapshot.index, configured: snapshot.configured });
      });
      return;
    }
  }

  #load(member: BftMember, snapshot: Snapshot | undefined): void {
    const { index, digest, log, configured } = snapshot ?? { index: noIndex, digest: noDigest, log: [] };
    member.configured = configured;
    member.executed = index;
    member.digest = digest;
    member.log = [...log];
    member.done = new Set(log);
  }

  #fail(what: string): never {
    throw new Error(`seed ${this.#options.seed}, ${this.now} ms: ${what}\n${this.describe()}`);
  }
}

function nextDigest(digest: string, id: string): string {
  let hash = Number.parseInt(digest, 36);
  for (const letter of id) hash = (Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x0100_0193) ^ (hash >>> 7)) >>> 0;
  return hash.toString(36);
}
