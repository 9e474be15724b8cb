/**
 * Which members count: the newest configuration in the log, committed or not (Raft section 6).
 *
 * Owns: the configurations of a log by index, and what follows from the newest for the core's state. Leaves to others: making new ones
 * (`membership.ts`), the log (`turn.ts`, which tells of every entry that is appended or dropped). A configuration counts from the moment
 * it is appended and no more once it is cut off, so what a replica has executed never decides who counts (hazard M2).
 */
import { invariant } from "../../base/invariant.js";
import type { Entry } from "../../model/entry.js";
import type { LogIndex, ReplicaId } from "../../model/ids.js";
import { decodeMembership } from "../../model/membership-codec.js";
import { anyIncarnation, membersOf, voterSetsOf, type Configuration, type Membership } from "../../model/membership.js";
import type { VoterSets } from "../quorum.js";
import type { MemoryLog } from "../memory-log.js";

/** The part of a core's state that says who counts. */
export interface Configured {
  readonly self: ReplicaId;
  /** Of this replica's data directory: a member of the same name and another incarnation is somebody else. */
  readonly incarnation: number;
  readonly log: MemoryLog;
  commitIndex: LogIndex;
  /** By index; the first is the founding one, or what the newest checkpoint says. Grows by two with each change of members. */
  readonly configurations: Configuration[];
  /** Of the newest configuration, as are the two below. */
  voterSets: VoterSets;
  /** Members of any set: they are asked for votes. */
  voters: readonly ReplicaId[];
  /** Every member but this replica. */
  peers: readonly ReplicaId[];
}

export function configurationsOf(first: Configuration, entries: readonly Entry[]): Configuration[] {
  return [first, ...entries.map(configurationIn)];
}

export function newestConfiguration({ configurations }: Pick<Configured, "configurations">): Configuration {
  const newest = configurations.at(-1);
  invariant(newest !== undefined, "there is always a configuration");
  return newest;
}

/** The members that an entry at `index` finds: what a checkpoint at that index must carry. */
export function configurationAt(
  { configurations }: Pick<Configured, "configurations">,
  index: LogIndex,
): Configuration {
  const last = configurations.findLast((configuration) => configuration.index <= index);
  invariant(last !== undefined, "there is a configuration at every index of the log");
  return last;
}

/** A change is under way: joint, or not committed yet. */
export function isChanging(state: Configured): boolean {
  const { index, membership } = newestConfiguration(state);
  return membership.before !== undefined || index > state.commitIndex;
}

export function adoptConfiguration(state: Configured, entry: Entry): void {
  state.configurations.push(configurationIn(entry));
  useNewest(state);
}

export function dropConfigurations(state: Configured, from: LogIndex): void {
  if (newestConfiguration(state).index < from) return;
  while (newestConfiguration(state).index >= from) state.configurations.pop();
  useNewest(state);
}

/** A checkpoint replaces the whole log; without its word the members stay who they are. */
export function resetConfigurations(state: Configured, first: Configuration | undefined): void {
  state.configurations.splice(0, Infinity, first ?? newestConfiguration(state));
  useNewest(state);
}

/** Nobody asks for the members before a checkpoint any more. */
export function forgetConfigurations({ configurations }: Configured, upTo: LogIndex): void {
  while ((configurations[1]?.index ?? Infinity) <= upTo) configurations.shift();
}

/** Entries whose content was damaged at the start, and is whole again. */
export function restoreConfigurations(state: Configured, repaired: readonly Entry[]): void {
  const lost = repaired.filter((entry) => entry.kind === "configuration" && state.log.has(entry));
  if (lost.length === 0) return;
  state.configurations.push(...lost.map(configurationIn));
  state.configurations.sort((left, right) => left.index - right.index);
  useNewest(state);
}

/** What the core reads at every step, so that it is made once. */
export function viewOf(
  { self, incarnation }: Pick<Configured, "self" | "incarnation">,
  { membership }: Configuration,
): Pick<Configured, "voterSets" | "voters" | "peers"> {
  const voterSets = voterSetsOf(seenBy({ id: self, incarnation }, membership));
  const voters = [...new Set(voterSets.flat())];
  return {
    voterSets,
    voters,
    peers: membersOf(membership)
      .map(({ id }) => id)
      .filter((id) => id !== self),
  };
}

function useNewest(state: Configured): void {
  Object.assign(state, viewOf(state, newestConfiguration(state)));
}

/**
 * A replica that joins under the name of an earlier one reads of that one in the log, perhaps that it alone was the group: for what it is
 * not itself stands a name that nobody has.
 */
function seenBy(
  { id, incarnation }: { readonly id: ReplicaId; readonly incarnation: number },
  { members, before }: Membership,
): Membership {
  const seen = (all: Membership["members"]): Membership["members"] =>
    all.map((member) => {
      const isAnother = member.id === id && ![anyIncarnation, incarnation].includes(member.incarnation);
      return isAnother ? { ...member, id: `${id}~` } : member;
    });
  return { members: seen(members), before: before && seen(before) };
}

function configurationIn({ index, term, payload }: Entry): Configuration {
  const membership = decodeMembership(payload);
  // Decoders and checksums let no other through.
  invariant(membership !== undefined, "a configuration can be read");
  return { index, term, membership };
}
