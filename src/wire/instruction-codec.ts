/**
 * An operator's instruction on its way from one replica to the leader, and its outcome on the way back.
 *
 * Owns: the layout. Total on foreign bytes. Called by `replica/instructions.ts`.
 *
 *   instruct    u8 1 | varint id | instruction
 *   instructed  u8 2 | varint id | u8 position in `outcomes`
 *   transfer    u8 1 | text to, empty for any
 *   change      u8 2 | one
 *   checkpoint  u8 3
 *   several     u8 4 | varint count | as many of one
 *   one         u8 position in `changeKinds` | text id | text peer | text client | u8 1 for a learner, else 0
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { isReplicaId } from "../model/ids.js";
import {
  instructionRefusals,
  type Instruction,
  type InstructionOutcome,
  type MemberChange,
} from "../model/instruction.js";

/** What is passed on to a leader. */
type Passed = Exclude<Instruction, { readonly kind: "reconfigure" }>;

export type InstructionMessage =
  | { readonly kind: "instruct"; readonly id: number; readonly instruction: Passed }
  | { readonly kind: "instructed"; readonly id: number; readonly outcome: InstructionOutcome };

const instructKind = 1;
const instructedKind = 2;
const transferKind = 1;
const changeKind = 2;
const checkpointKind = 3;
const severalKind = 4;
/** Only ever append. */
const changeKinds = ["add", "replace", "promote", "remove"] as const satisfies readonly MemberChange["kind"][];
/** Only ever append. */
const outcomes = ["done", "unknown", ...instructionRefusals] as const satisfies readonly InstructionOutcome[];

export function encodeInstructionMessage(message: InstructionMessage): Uint8Array {
  const writer = new ByteWriter(64);
  writer.u8(message.kind === "instruct" ? instructKind : instructedKind);
  writer.varint(message.id);
  if (message.kind === "instruct") writeInstruction(writer, message.instruction);
  else writer.u8(outcomes.indexOf(message.outcome));
  return writer.finish();
}

export function decodeInstructionMessage(bytes: Uint8Array): InstructionMessage | undefined {
  const reader = new ByteReader(bytes);
  const kind = reader.u8();
  const id = reader.varint();
  if (kind === instructKind) {
    const instruction = readInstruction(reader);
    return reader.complete ? { kind: "instruct", id, instruction } : undefined;
  }
  const outcome = outcomes[reader.u8()];
  if (kind !== instructedKind || outcome === undefined || !reader.complete) return undefined;
  return { kind: "instructed", id, outcome };
}

function writeInstruction(writer: ByteWriter, instruction: Passed): void {
  if (instruction.kind === "transfer") {
    writer.u8(transferKind);
    return writer.text(instruction.to ?? "");
  }
  if (instruction.kind === "checkpoint") return writer.u8(checkpointKind);
  const { change } = instruction;
  if (change.kind === "several") {
    writer.u8(severalKind);
    writer.varint(change.changes.length);
    for (const each of change.changes) writeChange(writer, each);
    return;
  }
  writer.u8(changeKind);
  writeChange(writer, change);
}

function writeChange(writer: ByteWriter, change: MemberChange): void {
  writer.u8(changeKinds.indexOf(change.kind));
  writer.text(change.id);
  writer.text("peer" in change ? change.peer : "");
  writer.text("client" in change ? change.client : "");
  writer.u8(change.kind === "add" && change.role === "learner" ? 1 : 0);
}

function readInstruction(reader: ByteReader): Passed {
  const what = reader.u8();
  if (what === checkpointKind) return { kind: "checkpoint" };
  if (what === changeKind) return { kind: "change", change: readChange(reader) };
  if (what === severalKind) return { kind: "change", change: { kind: "several", changes: readChanges(reader) } };
  if (what !== transferKind) reader.fail();
  const to = reader.text();
  return { kind: "transfer", to: to === "" ? undefined : to };
}

function readChanges(reader: ByteReader): readonly MemberChange[] {
  const count = reader.varint();
  const changes: MemberChange[] = [];
  while (changes.length < count && !reader.failed) changes.push(readChange(reader));
  if (changes.length === 0) reader.fail();
  return changes;
}

function readChange(reader: ByteReader): MemberChange {
  const kind = changeKinds[reader.u8()];
  const id = reader.text();
  const peer = reader.text();
  const client = reader.text();
  const learns = reader.u8();
  if (kind === undefined || !isReplicaId(id) || learns > (kind === "add" ? 1 : 0)) reader.fail();
  const isPlaced = kind === "add" || kind === "replace";
  if (isPlaced ? peer === "" || client === "" : peer !== "" || client !== "") reader.fail();
  if (kind === "add") return { kind, id, peer, client, role: learns === 1 ? "learner" : "joining" };
  return kind === "replace" ? { kind, id, peer, client } : { kind: kind ?? "remove", id };
}
