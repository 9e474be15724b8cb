/**
 * Whom to let in: one function per role, every "no" with its reason.
 *
 * Owns: the comparison of a Hello or Welcome with what this replica knows. Leaves to others: proofs of identity (certificates come
 * with a later release; `credential` is their place). Hazards M8, M10 and threat 2: an id alone is not an identity.
 */
import type { Membership } from "../model/membership.js";
import type { ReplicaId } from "../model/ids.js";
import { protocolVersion, type HandshakeRefusal, type Hello, type Refused, type Welcome } from "../wire/handshake.js";

/** What a replica says of itself in every handshake. */
export interface Identity {
  readonly clusterId: string;
  readonly id: ReplicaId;
  readonly incarnation: number;
  readonly process: string;
  readonly machine: string;
  readonly machineVersion: number;
  /** What replicas must have been founded with alike: members, and the limits that execution depends on. */
  readonly foundation: string;
}

export function helloTo(peer: ReplicaId, self: Identity): Hello {
  const { clusterId, id, incarnation, process, machine, machineVersion, foundation } = self;
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
    credential,
  };
}

export function welcomeFrom(self: Identity): Welcome {
  const { clusterId, id, incarnation, process, machine, machineVersion, foundation } = self;
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
  };
}

export function checkReplicaHello(hello: Hello, self: Identity, membership: Membership): Refused | undefined {
  if (hello.protocol !== protocolVersion) return wrongProtocol(hello.protocol);
  if (hello.role !== "replica")
    return refused("WRONG_ROLE", "This port is for replicas; clients have a port of their own.");
  if (hello.clusterId !== self.clusterId) return wrongCluster(hello.clusterId, self);
  if (hello.to !== self.id)
    return refused("WRONG_REPLICA", `Asked for replica ${hello.to}, this is replica ${self.id}.`);
  const member = membership.members.find(({ id }) => id === hello.from);
  if (member === undefined || hello.from === self.id) {
    return refused("NOT_A_MEMBER", `Replica ${hello.from} is not a member of cluster ${self.clusterId}.`);
  }
  if (member.incarnation !== hello.incarnation)
    return wrongIncarnation(hello.from, hello.incarnation, member.incarnation);
  return checkMachine(hello.machine, self) ?? checkFoundation(hello.foundation, self);
}

/** An objection to who answered a replica's call. */
export function checkWelcome(
  welcome: Welcome,
  peer: ReplicaId,
  self: Identity,
  membership: Membership,
): string | undefined {
  if (welcome.protocol !== protocolVersion) return wrongProtocol(welcome.protocol).message;
  if (welcome.clusterId !== self.clusterId) return wrongCluster(welcome.clusterId, self).message;
  if (welcome.from !== peer) return `Replica ${welcome.from} answered at the address of replica ${peer}.`;
  const known = membership.members.find(({ id }) => id === peer)?.incarnation;
  if (known === undefined) return `Replica ${peer} is not a member.`;
  if (known !== welcome.incarnation) return wrongIncarnation(peer, welcome.incarnation, known).message;
  return (checkMachine(welcome.machine, self) ?? checkFoundation(welcome.foundation, self))?.message;
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

function checkMachine(machine: string, self: Identity): Refused | undefined {
  if (machine === self.machine) return undefined;
  return refused("WRONG_MACHINE", `Asked for the machine ${machine}, replica ${self.id} runs ${self.machine}.`);
}

/** Replicas with other members would count other majorities; under other limits they would give other replies. */
function checkFoundation(foundation: string, self: Identity): Refused | undefined {
  if (foundation === self.foundation) return undefined;
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
    `Replica ${id} speaks as incarnation ${found}, the cluster knows incarnation ${known}.`,
  );
}
