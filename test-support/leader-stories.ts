/** For stories of whole clusters about leaders and logs: who leads, who cannot stand, who stands against whom. */
import type { LogIndex, ReplicaId } from "../src/model/ids.js";
import type { ClockFault } from "../src/sim/process.js";
import { scenario, type ScenarioOptions } from "../src/sim/scenario.js";
import type { standardMachine } from "../src/sim/standard-machine.js";
import type { Story } from "./sim-stories.js";

export const seeds = (count: number): readonly number[] => Array.from({ length: count }, (_, at) => at + 1);

/** A command that changes the sum "n", and the query for it. */
export const add = (value: number) => ({ command: "add", input: { key: "n", value } }) as const;
export const sum = { query: "count", input: { key: "n" } } as const;

/** Each operation of a disk takes about this long. */
export function slow(ms: number) {
  return { latencyMsMin: ms, latencyMsMax: ms * 1.2, spikeChance: 0, spikeMsMax: 0 } as const;
}

/** Whose clock goes like this answers everybody, and others are long done when it would stand itself. */
export const lateClock: ClockFault = { rate: 0.05, wallOffsetMs: 0 };
export const rightClock: ClockFault = { rate: 1, wallOffsetMs: 0 };

/** The leader ends and begins anew, and nobody but this one can stand meanwhile. It needs a log as good as the others'. */
export function makeLead(group: Story, id: ReplicaId): void {
  const leader = group.untilLeader();
  if (leader === id) return;
  for (const other of group.others(id)) group.clock(other, lateClock);
  // The timers that run already still end in time: a tick each.
  group.pass(12).restart(leader).clock(leader, lateClock);
  group.until(`${id} to lead`, () => group.leader === id);
  for (const other of group.others(id)) group.clock(other, rightClock);
  // And those that were set since end late.
  group.pass(250);
  group.until("all links to be open", () => group.replicas.every((other) => isLinked(group, other)));
}

/** It hears every other replica. */
function isLinked(group: Story, id: ReplicaId): boolean {
  const members = group.replica(id).opened?.core.status().members ?? [];
  return members.length > 0 && members.every(({ connected }) => connected);
}

/** A group in which this one leads, every client has a session, and everybody has everything. */
export function groupLedBy(id: ReplicaId, options: ScenarioOptions<typeof standardMachine>): Story {
  const group: Story = scenario(options);
  group.untilLeader();
  group.untilQuiet();
  makeLead(group, id);
  group.world.clients.forEach((_, at) => group.call(add(0), { from: at + 1 }));
  return group.untilQuiet();
}

/** This client talks to this replica only, whatever it is told of a leader, until `heal`. */
export function keepTo(group: Story, client: number, id: ReplicaId): void {
  for (const other of group.others(id)) group.cut(group.client(client).id, other);
}

/** Nothing else is cut, and all others hear only this one: of five, nobody else can win. */
export function star(group: Story, center: ReplicaId): void {
  const others = group.heal().others(center);
  others.forEach((one, at) => others.slice(at + 1).forEach((other) => group.cut(one, other)));
}

export const termOf = (group: Story, id: ReplicaId): number => group.raft(id).term;

export function hasRole(
  group: Story,
  id: ReplicaId,
  kind: "follower" | "preCandidate" | "candidate" | "leader",
): boolean {
  return group.raft(id).role.kind === kind;
}

/** Who has given this candidate its vote, as far as it knows; of anybody else, nobody. */
export function votesFor(group: Story, id: ReplicaId): readonly ReplicaId[] {
  const { role } = group.raft(id);
  return role.kind === "candidate" ? [...role.granted].sort() : [];
}

/** Who has refused it. */
export function refusalsOf(group: Story, id: ReplicaId): readonly ReplicaId[] {
  const { role } = group.raft(id);
  return role.kind === "candidate" ? [...role.refused].sort() : [];
}

/** Whom it has voted for in this term; undefined if it is in another one. */
export function votedIn(group: Story, id: ReplicaId, term: number): ReplicaId | undefined {
  const { term: own, votedFor } = group.raft(id);
  return own === term ? votedFor : undefined;
}

/** Up to where this leader counts the log of that follower as equal and durable. */
export function matchOf(group: Story, leader: ReplicaId, follower: ReplicaId): number | undefined {
  const { role } = group.raft(leader);
  return role.kind === "leader" ? role.followers.get(follower)?.progress.match : undefined;
}

export const lastOf = (group: Story, id: ReplicaId): number => group.raft(id).log.lastIndex;

export const durableOf = (group: Story, id: ReplicaId): number => group.raft(id).writes.durableIndex;

/** The term of an entry in a replica's log; undefined behind its end. */
export function entryTerm(group: Story, id: ReplicaId, index: number): number | undefined {
  const { log } = group.raft(id);
  return index <= log.lastIndex ? log.termAt(index as LogIndex) : undefined;
}
