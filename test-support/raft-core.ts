/**
 * One Raft core driven by hand: what a test tells it, and what it asks of the world.
 *
 * Owns: the bookkeeping of a single core (time, writes that complete when the test says so). Leaves to others: whole clusters
 * (`raft-cluster.ts`). For rules that need one exact order of events.
 */
import type { AppendEntries, AppendEntriesReply, RaftMessage } from "../src/consensus/raft/messages.js";
import { createRaftState, type RaftSettings, type RaftState, type Trust } from "../src/consensus/raft/state.js";
import { step, type RaftInput } from "../src/consensus/raft/step.js";
import type { RaftEffect } from "../src/consensus/raft/turn.js";
import { encodeUtf8 } from "../src/base/bytes.js";
import { noEntry, type Entry, type EntryId, type Proposal } from "../src/model/entry.js";
import { logIndex, term, type LogIndex, type ReplicaId, type Term } from "../src/model/ids.js";
import { testSettings } from "./raft-settings.js";
import { termRunsOf } from "./raft-disk.js";

export interface CoreOptions {
  readonly self?: ReplicaId;
  /** Every voter's is 1. */
  readonly incarnation?: number;
  readonly voters: string;
  readonly learners?: string;
  readonly term?: number;
  readonly votedFor?: ReplicaId;
  /** The terms of the entries that are on disk. */
  readonly log?: readonly number[];
  readonly trust?: Trust;
  readonly settings?: Partial<RaftSettings>;
}

export class Core {
  readonly state: RaftState;
  now = 0;
  /** Effects of the last input. */
  effects: readonly RaftEffect[] = [];
  /** Every effect since the start. */
  readonly history: RaftEffect[] = [];
  /** What has left this replica: sends, and promises of completed writes. */
  readonly left: { readonly to: ReplicaId; readonly message: RaftMessage }[] = [];
  readonly #unwritten: (RaftEffect & { kind: "persist" })[] = [];

  constructor(options: CoreOptions) {
    const { self, voters, learners, log, trust, settings } = options;
    const tail = entriesOf(log ?? []);
    const member = (id: string, role: "voter" | "learner") => ({
      id,
      role,
      incarnation: 1,
      peer: `${id}:1`,
      client: `${id}:2`,
    });
    const members = [
      ...[...voters].map((id) => member(id, "voter")),
      ...[...(learners ?? "")].map((id) => member(id, "learner")),
    ];
    const hardState = { term: t(options.term ?? 0), votedFor: options.votedFor };
    this.state = createRaftState(
      {
        ...{
          self: self ?? "a",
          incarnation: options.incarnation ?? 1,
          membership: { members },
          hardState,
          trust: trust ?? "whole",
          seed: 1,
        },
        log: { start: noEntry, lastIndex: i(tail.length), terms: termRunsOf(tail), tail, configurations: [] },
        settings: { ...testSettings, ...settings },
      },
      0,
    );
  }

  input(input: RaftInput): this {
    this.effects = step(this.state, input, this.now);
    for (const effect of this.effects) {
      this.history.push(effect);
      if (effect.kind === "send") this.left.push({ to: effect.to, message: effect.message });
      if (effect.kind === "persist") this.#unwritten.push(effect);
    }
    return this;
  }

  receive(from: ReplicaId, message: RaftMessage): this {
    return this.input({ kind: "receive", from, message });
  }

  propose(...texts: readonly string[]): this {
    return this.input({ kind: "propose", proposals: texts.map((text) => proposal(text)) });
  }

  tick(afterMs: number): this {
    this.now += afterMs;
    return this.input({ kind: "tick" });
  }

  /** Time passes with a tick every 5 ms, and with heartbeats of nobody. */
  pass(ms: number): this {
    for (let passed = 0; passed < ms; passed += 5) this.tick(5);
    return this;
  }

  /** The next `count` writes complete; without a count all, with those that they bring about. */
  persisted(count = Infinity): this {
    for (let done = 0; done < count; done += 1) {
      const first = this.#unwritten.shift();
      if (first === undefined) return this;
      this.left.push(...first.then);
      this.input({ kind: "persisted", id: first.write.id });
    }
    return this;
  }

  get unwritten(): number {
    return this.#unwritten.length;
  }

  /** Messages that have left so far, of one kind, perhaps to one replica. */
  sent<Kind extends RaftMessage["kind"]>(kind: Kind, to?: ReplicaId): (RaftMessage & { kind: Kind })[] {
    const isWanted = (message: RaftMessage): message is RaftMessage & { kind: Kind } => message.kind === kind;
    return this.left
      .filter((item) => to === undefined || item.to === to)
      .map(({ message }) => message)
      .filter(isWanted);
  }

  /** Forgets what has left, so that the next look sees only what comes. */
  forget(): this {
    this.left.length = 0;
    return this;
  }

  /** Stands and wins with these votes. */
  elect(...voters: readonly ReplicaId[]): this {
    while (this.state.role.kind !== "preCandidate") this.tick(5);
    const { attempt } = this.state.role;
    for (const from of voters)
      this.receive(from, { kind: "PreVoteReply", term: this.state.term, attempt, granted: true });
    this.persisted();
    for (const from of voters) this.receive(from, { kind: "RequestVoteReply", term: this.state.term, granted: true });
    return this;
  }

  /** This replica acknowledges up to `match` as a follower of ours would. */
  acknowledged(from: ReplicaId, match: number, round = 0): this {
    return this.receive(from, accepted(this.state.term, match, round));
  }

  get terms(): number[] {
    const { log } = this.state;
    return Array.from({ length: log.lastIndex }, (_, at) => log.termAt(i(at + 1)));
  }
}

export const t = (value: number): Term => {
  const checked = term(value);
  if (checked === undefined) throw new Error(`${value} is no term`);
  return checked;
};

export const i = (value: number): LogIndex => {
  const checked = logIndex(value);
  if (checked === undefined) throw new Error(`${value} is no index`);
  return checked;
};

export const id = (index: number, ofTerm: number): EntryId => ({ index: i(index), term: t(ofTerm) });

export function proposal(text: string): Proposal {
  return { kind: "batch", time: 0, payload: encodeUtf8(text) };
}

/** Entries with these terms after `previous`; what an entry holds follows from its index and term. */
export function entriesOf(terms: readonly number[], previous = 0): Entry[] {
  return terms.map((ofTerm, at) => ({
    ...id(previous + at + 1, ofTerm),
    ...{ kind: "batch", time: 0, payload: encodeUtf8(`${previous + at + 1}@${ofTerm}`) },
  }));
}

export function append(
  ofTerm: number,
  previous: readonly [index: number, term: number],
  options: { readonly entries?: readonly number[]; readonly commit?: number; readonly round?: number },
): AppendEntries {
  const entries = entriesOf(options.entries ?? [], previous[0]);
  const commit = i(options.commit ?? 0);
  return {
    kind: "AppendEntries",
    term: t(ofTerm),
    round: options.round ?? 1,
    previous: id(...previous),
    commit,
    entries,
  };
}

export function accepted(ofTerm: number, match: number, round = 0): AppendEntriesReply {
  return { kind: "AppendEntriesReply", term: t(ofTerm), round, outcome: { kind: "accepted", match: i(match) } };
}

export const matchesOf = (replies: readonly AppendEntriesReply[]): number[] =>
  replies.map(({ outcome }) => (outcome.kind === "accepted" ? outcome.match : -1));
