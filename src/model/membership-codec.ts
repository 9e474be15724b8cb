/**
 * A membership as bytes: the payload of a `configuration` entry, and the members in a directory's identity.
 *
 * Owns: the layout. Total on foreign bytes. Called by `consensus/raft/configuration.ts`, the codecs and `storage/identity.ts`.
 *
 *   members     varint count, then for each: text id | u8 role, 8 more if it replaces another, 16 more if it has a key | varint incarnation |
 *               text peer | text client | varint replaced incarnation, if it does | key 32, if it has one
 *   membership  members | u8 1 and the members before the change, or u8 0
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { invariant } from "../base/invariant.js";
import { isReplicaId } from "./ids.js";
import { membersMax, type Member, type MemberRole, type Membership } from "./membership.js";

/** Positions are the codes: only ever append. */
const roles = ["voter", "learner", "joining"] as const satisfies readonly MemberRole[];

const replacesFlag = 8;
const keyFlag = 16;
const keyBytes = 32;

export function writeMembers(writer: ByteWriter, members: readonly Member[]): void {
  invariant(members.length <= membersMax, "a cluster has at most 64 members");
  writer.varint(members.length);
  for (const { id, role, incarnation, peer, client, replaces, key } of members) {
    invariant(key === undefined || key.length === keyBytes, "a public key has 32 bytes");
    writer.text(id);
    writer.u8(roles.indexOf(role) + (replaces === undefined ? 0 : replacesFlag) + (key === undefined ? 0 : keyFlag));
    writer.varint(incarnation);
    writer.text(peer);
    writer.text(client);
    if (replaces !== undefined) writer.varint(replaces);
    if (key !== undefined) writer.raw(key);
  }
}

export function readMembers(reader: ByteReader): readonly Member[] {
  const count = reader.varint();
  if (count > membersMax) reader.fail();
  const members: Member[] = [];
  for (let at = 0; at < count && !reader.failed; at += 1) {
    const id = reader.text();
    const code = reader.u8();
    const role = roles[code & ~(replacesFlag | keyFlag)];
    if (role === undefined || !isReplicaId(id) || members.some((member) => member.id === id)) reader.fail();
    const member = {
      id,
      role: role ?? "learner",
      incarnation: reader.varint(),
      peer: reader.text(),
      client: reader.text(),
    };
    const replaced = (code & replacesFlag) === 0 ? member : { ...member, replaces: reader.varint() };
    members.push((code & keyFlag) === 0 ? replaced : { ...replaced, key: new Uint8Array(reader.raw(keyBytes)) });
  }
  return members;
}

export function encodeMembership({ members, before }: Membership): Uint8Array {
  const writer = new ByteWriter(256);
  writeMembers(writer, members);
  writer.u8(before === undefined ? 0 : 1);
  if (before !== undefined) writeMembers(writer, before);
  return writer.finish();
}

export function decodeMembership(bytes: Uint8Array): Membership | undefined {
  const reader = new ByteReader(bytes);
  const members = readMembers(reader);
  const isJoint = reader.u8();
  if (isJoint > 1) return undefined;
  const before = isJoint === 1 ? readMembers(reader) : undefined;
  if (!reader.complete) return undefined;
  return before === undefined ? { members } : { members, before };
}
