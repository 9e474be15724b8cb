/**
 * Going on after a majority was lost for good: who is left, where the new cluster begins, what is lost.
 *
 * Owns: the decision, from what the survivors' disks say. Leaves to others: reading and changing disks (`survivor.ts`), asking whether
 * others still live. Called by the `recover` verb, on each survivor with the same reports, so it depends on nothing else.
 *
 * An acknowledged entry is on a majority of every voter set that counted then. If in no set the lost ones are a majority by themselves,
 * each of those majorities holds a survivor, and the most complete log has all of it, as that of a candidate has (Raft section 5.4.1).
 * Otherwise the lost ones may have acknowledged, without any survivor, whatever comes after that log, and nobody knows how much.
 */
import { quorumOf, membersOf, memberOf, voterSetsOf, type Configuration, type Member } from "../model/membership.js";
import { after, nextTerm, noTerm, type LogIndex, type ReplicaId, type Term } from "../model/ids.js";
import type { EntryId } from "../model/entry.js";
import { isMajority } from "../consensus/quorum.js";
import { mayBe } from "../transport/gate.js";

/** What one surviving data directory says of itself. */
export interface Survivor {
  readonly clusterId: string;
  readonly machine: string;
  readonly id: ReplicaId;
  readonly incarnation: number;
  /** Of its hard state. */
  readonly term: Term;
  readonly last: EntryId;
  /** Entries up to here are known to be committed: it noted so, a checkpoint covers them, or a replica reported one. */
  readonly committed: LogIndex;
  /** Its state covers these, and cannot be taken back. */
  readonly executed: LogIndex;
  /** The newest that it holds, committed or not. */
  readonly configuration: Configuration;
  /** For people: why a cluster cannot begin with this log, whatever it holds. */
  readonly flaw: string | undefined;
}

export interface Recovery {
  readonly kind: "recovery";
  readonly from: string;
  readonly to: string;
  /** Its log is the new cluster's. */
  readonly source: ReplicaId;
  /** The entry that makes the survivors the only members, behind the source's last. */
  readonly entry: EntryId;
  readonly members: readonly Member[];
  /** Members that are not among the survivors. */
  readonly lost: readonly Member[];
  /** Kept, although no survivor knows whether they were acknowledged. */
  readonly uncertain: { readonly from: LogIndex; readonly to: LogIndex } | undefined;
  /** Undefined: nothing that was acknowledged is lost. `certainTo`: up to there it was committed, and is gone. */
  readonly gone: { readonly from: LogIndex; readonly certainTo: LogIndex | undefined } | undefined;
}

export interface RecoveryRefused {
  readonly kind: "refused";
  readonly code:
    | "sameCluster"
    | "differentClusters"
    | "duplicate"
    | "notAMember"
    | "replaced"
    | "majorityLives"
    | "notLost"
    | "noWholeLog"
    | "hasExecutedMore";
  /** For people: the action, the fact, what to do. */
  readonly message: string;
}

/** A member that is no survivor and yet answered, or at whose address something listens. */
export interface Answering {
  readonly id: ReplicaId;
  readonly address: string;
}

export interface RecoveryWish {
  /** At least one. */
  readonly survivors: readonly Survivor[];
  /** The id of the cluster that goes on. */
  readonly to: string;
  /** Where members are now, if that is not what the survivors remember. */
  readonly places: readonly Place[];
}

type Place = Pick<Member, "id" | "peer" | "client">;

export function planRecovery({ survivors, to, places }: RecoveryWish): Recovery | RecoveryRefused {
  const newest = mostComplete(survivors);
  const whole = survivors.filter(({ flaw }) => flaw === undefined);
  const refusal = newest === undefined ? undefined : refusalOf(survivors, newest, to);
  if (refusal !== undefined) return refusal;
  const source = mostComplete(whole);
  if (newest === undefined || source === undefined) {
    const flaws = survivors.map(({ id, flaw }) => `${id}: ${flaw ?? ""}`).join("; ");
    return refused("noWholeLog", survivors[0]?.clusterId, `no survivor has a log to begin with: ${flaws}`);
  }
  const ahead = survivors.find(({ executed }) => executed > source.last.index);
  if (ahead !== undefined) {
    const fact = `${ahead.id} has executed entries up to ${ahead.executed}, and the log that could go on, of ${source.id}, ends with ${source.last.index}`;
    return refused(
      "hasExecutedMore",
      source.clusterId,
      `${fact}: leave ${ahead.id} out, and add it later with an empty directory`,
    );
  }
  const { membership } = newest.configuration;
  const known = survivors.reduce<LogIndex>(
    (most, { committed }) => (committed > most ? committed : most),
    source.committed,
  );
  const { index } = source.last;
  return {
    kind: "recovery",
    from: source.clusterId,
    to,
    source: source.id,
    entry: { index: after(index), term: nextTerm(highestTerm(survivors)) },
    members: membersOf(membership).flatMap((member) => {
      const survivor = survivors.find(({ id }) => id === member.id);
      return survivor === undefined ? [] : [survivingMember(member, survivor, { source, newest, places })];
    }),
    lost: membersOf(membership)
      .filter(({ id }) => !survivors.some((survivor) => survivor.id === id))
      .map((member) => ({ ...member, ...placeOf(member, places) })),
    uncertain: known < index ? { from: after(known), to: index } : undefined,
    gone: isAllThere(survivors, newest, source)
      ? undefined
      : { from: after(index), certainTo: known > index ? known : undefined },
  };
}

/** With others that answered: a majority may be had with them, and their logs may be more complete than the survivors'. */
export function refusalOfAnswers(
  { survivors }: RecoveryWish,
  answering: readonly Answering[],
): RecoveryRefused | undefined {
  const newest = mostComplete(survivors);
  if (newest === undefined || answering.length === 0) return undefined;
  const has = (id: ReplicaId): boolean => [...survivors, ...answering].some((each) => each.id === id);
  const who = answering.map(({ id, address }) => `${id} at ${address}`).join(", ");
  const running = answering.filter(({ id }) => survivors.some((survivor) => survivor.id === id));
  if (running.length > 0) {
    const names = running.map(({ id }) => id).join(", ");
    return refused(
      "notLost",
      newest.clusterId,
      `${who} still runs, so what is known of ${names} is out of date: stop it and begin again`,
    );
  }
  if (isMajority(voterSetsOf(newest.configuration.membership), has)) {
    const all = [...survivors, ...answering].map(({ id }) => id).join(", ");
    return refused(
      "majorityLives",
      newest.clusterId,
      `${who} answers, and ${all} are a majority: start them, nothing is lost`,
    );
  }
  return refused(
    "notLost",
    newest.clusterId,
    `${who} answers, so it is not lost: stop it and give its directory or its report too`,
  );
}

function refusalOf(survivors: readonly Survivor[], newest: Survivor, to: string): RecoveryRefused | undefined {
  const { clusterId, machine, configuration } = newest;
  const { membership } = configuration;
  const no = (code: RecoveryRefused["code"], fact: string): RecoveryRefused => refused(code, clusterId, fact);
  if (to === clusterId) {
    return no(
      "sameCluster",
      "the cluster that goes on needs another id, or those who were lost and come back would speak with it",
    );
  }
  const foreign = survivors.find((other) => other.clusterId !== clusterId || other.machine !== machine);
  if (foreign !== undefined) {
    return no(
      "differentClusters",
      `${foreign.id} belongs to cluster ${foreign.clusterId} with machine ${foreign.machine}`,
    );
  }
  const twice = survivors.find(({ id }, at) => survivors.findIndex((other) => other.id === id) !== at);
  if (twice !== undefined) return no("duplicate", `${twice.id} was given twice`);
  for (const { id, incarnation } of survivors) {
    const member = memberOf(membership, id);
    if (member === undefined) return no("notAMember", `${id} is no member as ${newest.id} knows them: leave it out`);
    if (!mayBe(membership, id, incarnation)) {
      return no("replaced", `the directory of ${id} is of incarnation ${incarnation} and was replaced: leave it out`);
    }
  }
  if (!isMajority(voterSetsOf(membership), (voter) => survivors.some(({ id }) => id === voter))) return undefined;
  const all = survivors.map(({ id }) => id).join(", ");
  return no("majorityLives", `${all} are a majority: start them, nothing is lost`);
}

/** The log with the later last term, else the longer one (Raft section 5.4.1): logs that end alike are alike. */
function mostComplete(survivors: readonly Survivor[]): Survivor | undefined {
  return survivors.reduce<Survivor | undefined>((best, each) => {
    if (best === undefined) return each;
    const isLater = each.last.term > best.last.term;
    const isLonger = each.last.term === best.last.term && each.last.index > best.last.index;
    return isLater || isLonger ? each : best;
  }, undefined);
}

function isAllThere(survivors: readonly Survivor[], newest: Survivor, source: Survivor): boolean {
  if (source.last.index !== newest.last.index || source.last.term !== newest.last.term) return false;
  return voterSetsOf(newest.configuration.membership).every((voters) => {
    const lost = voters.filter((voter) => !survivors.some(({ id }) => id === voter));
    return lost.length < quorumOf(voters.length);
  });
}

/** A voter stays one, also one that was coming or going. Of learners only the source votes: its log is the cluster's. */
function survivingMember(
  { id, peer, client, role }: Member,
  { incarnation }: Survivor,
  {
    source,
    newest,
    places,
  }: { readonly source: Survivor; readonly newest: Survivor; readonly places: RecoveryWish["places"] },
): Member {
  const { members, before = [] } = newest.configuration.membership;
  const votes = [...members, ...before].some((member) => member.id === id && member.role === "voter");
  const place = placeOf({ id, peer, client }, places);
  return { id, role: votes || id === source.id ? "voter" : role, incarnation, ...place };
}

function placeOf({ id, peer, client }: Place, places: readonly Place[]): Pick<Member, "peer" | "client"> {
  const told = places.find((each) => each.id === id);
  return { peer: told?.peer ?? peer, client: told?.client ?? client };
}

function highestTerm(survivors: readonly Survivor[]): Term {
  return survivors.reduce<Term>((most, { term, last }) => {
    const own = term > last.term ? term : last.term;
    return own > most ? own : most;
  }, noTerm);
}

function refused(code: RecoveryRefused["code"], clusterId: string | undefined, fact: string): RecoveryRefused {
  return { kind: "refused", code, message: `Cannot recover cluster ${clusterId ?? ""}: ${fact}` };
}
