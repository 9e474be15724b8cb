/**
 * An operator's instruction on its way from one replica to the leader, and its outcome on the way back.
 *
 * Owns: the layout. Total on foreign bytes. Called by `replica/instructions.ts`.
 *
 *   instruct    u8 1 | varint id | instruction
 *   instructed  u8 2 | varint id | u8 position in `outcomes`
 *   transfer    u8 1 | text to, empty for any
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { instructionRefusals, type Instruction, type InstructionOutcome } from "../model/instruction.js";

export type InstructionMessage =
  | { readonly kind: "instruct"; readonly id: number; readonly instruction: Instruction }
  | { readonly kind: "instructed"; readonly id: number; readonly outcome: InstructionOutcome };

const instructKind = 1;
const instructedKind = 2;
const transferKind = 1;
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

function writeInstruction(writer: ByteWriter, instruction: Instruction): void {
  writer.u8(transferKind);
  writer.text(instruction.to ?? "");
}

function readInstruction(reader: ByteReader): Instruction {
  if (reader.u8() !== transferKind) reader.fail();
  const to = reader.text();
  return { kind: "transfer", to: to === "" ? undefined : to };
}
