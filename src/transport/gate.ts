/**
 * Whom to let in: one function per role, every "no" with its reason.
 *
 * Owns: the comparison of a Hello or Welcome with what this replica knows. Leaves to others: proofs of identity (certificates come
 * with a later release; `credential` is their place). Hazards M8, M10 and threat 2: an id alone is not an identity.
 */
import type { EntryId } from "../model/entry.js";
import { anyIncarnation, foundingIncarnation, memberOf, type Membership } from "../model/membership.js";
import type { ReplicaId } from "../model/ids.js";
import type { Promised } from "../model/log.js";
import {
  protocolVersion,
  type FoundDisk,
  type HandshakeRefusal,
  type Hello,
  type Refused,
  type Welcome,
  noDisk,
} from "../wire/handshake.js";

/** What a replica says of itself in every handshake. */
export interface Identity {
  readonly clusterId: string;
  readonly id: ReplicaId;
  readonly incarnation: number;
  readonly process: string;
  readonly machine: string;
  readonly machineVersion: number;
  /** What must be alike: the limits that execution depends on, and at founders, after `;members=`, the members at bootstrap. */
  readonly foundation: string;
  readonly found: FoundDisk;
}

/** Whom this replica takes for members, and how new that is. */
export interface Standing {
  readonly membership: Membership;
  readonly configuration: EntryId;
  /** What was promised to this replica under an id: its disk must have it. */
  readonly promisedBy: (id: ReplicaId) => Promised | undefined;
}

/** The process that was heard last under an id. */
export interface Life {
  readonly incarnation: number;
  readonly process: string;
  /** Of its directory, as far as they were counted. */
  readonly starts: number;
}

export function helloTo(peer: ReplicaId, self: Identity, configuration: EntryId): Hello {
  const { clusterId, id, incarnation, process, machine, machineVersion, foundation, found } = self;
  const credential = new Uint8Array(0);
  return {
    kind: "hello",
    protocol: protocolVersion,
    role: "replica",
    clusterId,
    from: id,
    to: peer,
    incarnation,
    process,
    machine,
    machineVersion,
    foundation,
    found,
    configuration,
    credential,
  };
}

export function welcomeFrom(self: Identity, configuration: EntryId): Welcome {
  const { clusterId, id, incarnation, process, machine, machineVersion, foundation, found } = self;
  return {
    kind: "welcome",
    protocol: protocolVersion,
    clusterId,
    from: id,
    incarnation,
    process,
    machine,
    machineVersion,
    foundation,
    found,
    configuration,
  };
}

export function checkReplicaHello(hello: Hello, self: Identity, standing: Standing): Refused | undefined {
  if (hello.protocol !== protocolVersion) return wrongProtocol(hello.protocol);
  if (hello.role !== "replica")
    return refused("WRONG_ROLE", "This port is for replicas; clients have a port of their own.");
  if (hello.clusterId !== self.clusterId) return wrongCluster(hello.clusterId, self);
  if (hello.to !== self.id)
    return refused("WRONG_REPLICA", `Asked for replica ${hello.to}, this is replica ${self.id}.`);
  return (
    checkMember(hello, self, standing) ?? checkMachine(hello.machine, self) ?? checkFoundation(hello.foundation, self)
  );
}

/**
 * Whether a process speaks for the disk that was heard before under its id, or for an older copy of it, or for one of two: then what it
 * promised may be forgotten, and it must neither vote nor acknowledge (hazards M9, M10). Starts are counted on disk, so each has a number
 * of its own, unless its disk was full; and a disk that has promised something has it at the next start.
 */
export function checkDisk(
  { from, process, incarnation, found }: Pick<Hello, "from" | "process" | "incarnation" | "found">,
  life: Life | undefined,
  promised: Promised | undefined,
): Refused | undefined {
  if (life === undefined || life.incarnation !== incarnation || life.process === process) return undefined;
  const { starts, term, lastIndex } = found;
  const no = (fact: string): Refused => refused("OLD_DISK", `Replica ${from} ${fact}.`);
  const isCounted = starts !== noDisk.starts;
  if (isCounted && starts === life.starts)
    return no(`runs twice: another process was start ${starts} of the same disk, or of a copy`);
  if (isCounted && starts < life.starts)
    return no(`runs on an older copy of its disk: start ${life.starts} was heard, and this is ${starts}`);
  if (promised === undefined || term > promised.term) return undefined;
  if (term === promised.term && lastIndex >= promised.index) return undefined;
  const has = `its disk had entries up to ${lastIndex} and term ${term} when it started`;
  return no(
    `has promised entry ${promised.index} in term ${promised.term}, and ${has}: it is an older copy, or damaged`,
  );
}

/** An objection to who answered a replica's call. */
export function checkWelcome(
  welcome: Welcome,
  peer: ReplicaId,
  self: Identity,
  standing: Standing,
): Refused | undefined {
  if (welcome.protocol !== protocolVersion) return wrongProtocol(welcome.protocol);
  if (welcome.clusterId !== self.clusterId) return wrongCluster(welcome.clusterId, self);
  if (welcome.from !== peer) {
    return refused("WRONG_REPLICA", `Replica ${welcome.from} answered at the address of replica ${peer}.`);
  }
  return (
    checkMember(welcome, self, standing) ??
    checkMachine(welcome.machine, self) ??
    checkFoundation(welcome.foundation, self)
  );
}

/**
 * Whether a data directory may speak, or go on speaking, for this member. While it is being replaced both may: the change can still come to
 * nothing. Only a founder's directory is of the first incarnation.
 */
export function mayBe({ members, before = [] }: Membership, id: ReplicaId, spoken: number): boolean {
  const known = [...members, ...before].filter((member) => member.id === id);
  return known.some(({ incarnation, replaces }) =>
    incarnation === anyIncarnation ? spoken > foundingIncarnation && spoken !== replaces : incarnation === spoken,
  );
}

export function checkClientHello(hello: Hello, self: Identity): Refused | undefined {
  if (hello.protocol !== protocolVersion) return wrongProtocol(hello.protocol);
  if (hello.role !== "client")
    return refused("WRONG_ROLE", "This port is for clients; replicas have a port of their own.");
  if (hello.clusterId !== "" && hello.clusterId !== self.clusterId) return wrongCluster(hello.clusterId, self);
  return hello.machine === "" ? undefined : checkMachine(hello.machine, self);
}

export function refused(code: HandshakeRefusal, message: string): Refused {
  return { kind: "refused", code, message };
}

/**
 * One that knows newer members than this replica cannot be judged here: it may have been added since, and even lead. All others are
 * members, or are told that they are not: never added, or removed (hazard E12).
 */
function checkMember(
  { from, incarnation, configuration }: Pick<Hello, "from" | "incarnation" | "configuration">,
  self: Identity,
  standing: Standing,
): Refused | undefined {
  if (from !== self.id && isNewer(configuration, standing.configuration)) return undefined;
  const member = from === self.id ? undefined : memberOf(standing.membership, from);
  if (member === undefined) {
    return refused("NOT_A_MEMBER", `Replica ${from} is not a member of cluster ${self.clusterId}.`);
  }
  return mayBe(standing.membership, from, incarnation)
    ? undefined
    : wrongIncarnation(from, incarnation, member.incarnation);
}

function isNewer(left: EntryId, right: EntryId): boolean {
  return left.term === right.term ? left.index > right.index : left.term > right.term;
}

function checkMachine(machine: string, self: Identity): Refused | undefined {
  if (machine === self.machine) return undefined;
  return refused("WRONG_MACHINE", `Asked for the machine ${machine}, replica ${self.id} runs ${self.machine}.`);
}

/** Founders with other members would count other majorities; under other limits replicas would give other replies. */
function checkFoundation(foundation: string, self: Identity): Refused | undefined {
  const isFoundedOn = (whole: string, part: string): boolean => whole.startsWith(`${part};members=`);
  if (foundation === self.foundation) return undefined;
  // One of them joined later, and was told of no founders.
  if (isFoundedOn(foundation, self.foundation) || isFoundedOn(self.foundation, foundation)) return undefined;
  const message = `The other side was founded with other members or limits (${foundation}) than replica ${self.id} (${self.foundation}).`;
  return refused("WRONG_FOUNDATION", message);
}

function wrongProtocol(found: number): Refused {
  return refused("WRONG_PROTOCOL", `The other side speaks protocol ${found}, this side ${protocolVersion}.`);
}

function wrongCluster(found: string, self: Identity): Refused {
  return refused(
    "WRONG_CLUSTER",
    `Asked for cluster ${found}, replica ${self.id} belongs to cluster ${self.clusterId}.`,
  );
}

function wrongIncarnation(id: ReplicaId, found: number, known: number): Refused {
  return refused(
    "WRONG_INCARNATION",
    `Replica ${id} speaks as incarnation ${found}, the cluster knows incarnation ${known}. If its disk was replaced: quorate member replace ${id}.`,
  );
}
