/**
 * One line of text for an input, an effect, or a replica: what traces and tests show to people.
 *
 * Owns: the wording, which golden traces pin. Leaves to others: collecting lines. Called by tests, the simulator and logs,
 * never on the path of a request.
 */
import { unreachable } from "../../base/invariant.js";
import type { Entry, EntryId } from "../../model/entry.js";
import { describeChange, type Instruction } from "../../model/instruction.js";
import type { Member, Membership } from "../../model/membership.js";
import type { LogWrite } from "../../model/log.js";
import type { AppendOutcome, RaftMessage } from "./messages.js";
import type { RaftState } from "./state.js";
import type { RaftInput } from "./step.js";
import type { RaftEffect } from "./turn.js";

function describeMessage(message: RaftMessage): string {
  const { kind, term } = message;
  switch (kind) {
    case "PreVote":
      return `PreVote(term ${term}, try ${message.attempt}, last ${describeId(message.last)})`;
    case "PreVoteReply":
      return `PreVoteReply(term ${term}, try ${message.attempt}, ${message.granted ? "granted" : "refused"})`;
    case "RequestVote":
      return `RequestVote(term ${term}, last ${describeId(message.last)}${message.transfer === true ? ", transfer" : ""})`;
    case "RequestVoteReply":
      return `RequestVoteReply(term ${term}, ${message.granted ? "granted" : "refused"})`;
    case "AppendEntries": {
      const { round, previous, commit, entries } = message;
      return `AppendEntries(term ${term}, round ${round}, after ${describeId(previous)}, commit ${commit}, ${describeEntries(entries)})`;
    }
    case "AppendEntriesReply":
      return `AppendEntriesReply(term ${term}, round ${message.round}, ${describeOutcome(message.outcome)}${message.space === undefined ? "" : `, space ${message.space}`}${message.priority === undefined ? "" : `, priority ${message.priority}`})`;
    case "ReadIndex":
      return `ReadIndex(term ${term}, id ${message.id})`;
    case "ReadIndexReply":
      return `ReadIndexReply(term ${term}, id ${message.id}, ${message.index === undefined ? "refused" : `index ${message.index}`})`;
    case "TimeoutNow":
      return `TimeoutNow(term ${term})`;
    case "InstallSnapshot":
      return `InstallSnapshot(term ${term}, round ${message.round}, last ${describeId(message.last)})`;
    default:
      return unreachable(kind);
  }
}

export function describeInput(input: RaftInput): string {
  switch (input.kind) {
    case "tick":
      return "tick";
    case "receive":
      return `receive from ${input.from}: ${describeMessage(input.message)}`;
    case "connected":
    case "disconnected":
    case "arriving":
      return `${input.kind} ${input.peer}`;
    case "propose":
      return `propose ${input.proposals.map(({ kind }) => kind).join(", ")}`;
    case "persisted":
      return `persisted write ${input.id}`;
    case "loaded":
      return `loaded ${describeEntries(input.entries)} for ${input.peer}`;
    case "barrier":
      return `barrier ${input.id}`;
    case "checkpointed":
    case "installed":
      return `${input.kind} ${describeId(input.checkpoint)}`;
    case "instruct":
      return `instruct ${input.id}: ${describeInstruction(input.instruction)}`;
    case "execution":
      if (input.isQuarantined === true) return "execution is in quarantine";
      return input.isStalled ? "execution stands still" : "execution goes on";
    case "space":
      return `space ${input.space}`;
    case "repaired":
      return "repaired";
    default:
      return unreachable(input);
  }
}

export function describeEffect(effect: RaftEffect): string {
  switch (effect.kind) {
    case "send":
      return `send to ${effect.to}: ${describeMessage(effect.message)}`;
    case "persist": {
      const promised = effect.then.map(({ to, message }) => `, then to ${to}: ${describeMessage(message)}`);
      return `persist write ${effect.write.id}: ${describeWrite(effect.write)}${promised.join("")}`;
    }
    case "commit":
      return `commit up to ${effect.upTo}`;
    case "load":
      return `load from ${effect.from} for ${effect.peer}`;
    case "fetchCheckpoint":
      return `fetch checkpoint ${describeId(effect.checkpoint)} from ${effect.from}`;
    case "role": {
      const { role, term, leader, settledAt, isFull } = effect.role;
      return `role ${role}, term ${term}, leader ${leader ?? "unknown"}${settledAt === undefined ? "" : `, settled at ${settledAt}`}${isFull === true ? ", full" : ""}`;
    }
    case "members":
      return `members ${describeMembers(effect.membership)}`;
    case "barrierPassed":
      return `barrier ${effect.id} passed at ${effect.index}`;
    case "barrierFailed":
      return `barrier ${effect.id} failed`;
    case "resigned":
      return `resigned term ${effect.term}: ${effect.reason}`;
    case "instructed":
      return `instruction ${effect.id}: ${effect.outcome}`;
    default:
      return unreachable(effect);
  }
}

export function describeState(state: RaftState): string {
  const { self, role, term, votedFor, log, commitIndex, writes } = state;
  return `${self}: ${role.kind}, term ${term}, vote ${votedFor ?? "none"}, last ${describeId(log.last)}, durable ${writes.durableIndex}, commit ${commitIndex}`;
}

function describeMembers({ members, before }: Membership): string {
  const named = (list: readonly Member[]): string =>
    list.map(({ id, role }) => (role === "voter" ? id : `${id} (${role})`)).join(" ");
  return before === undefined ? named(members) : `${named(members)}, before ${named(before)}`;
}

function describeInstruction(instruction: Instruction): string {
  if (instruction.kind === "transfer") return `transfer to ${instruction.to ?? "anyone"}`;
  if (instruction.kind === "reconfigure") return "reconfigure";
  return instruction.kind === "checkpoint" ? "checkpoint" : describeChange(instruction.change);
}

/** Entry 7 of term 3 is written 7@3; 0@0 is the place before the first entry. */
function describeId({ index, term }: EntryId): string {
  return `${index}@${term}`;
}

function describeEntries(entries: readonly Entry[]): string {
  const first = entries[0];
  const last = entries.at(-1);
  if (first === undefined || last === undefined) return "no entries";
  if (entries.length === 1) return `${first.kind} ${describeId(first)}`;
  return `${entries.length} entries ${describeId(first)} to ${describeId(last)}`;
}

function describeOutcome(outcome: AppendOutcome): string {
  switch (outcome.kind) {
    case "accepted":
      return `accepted up to ${outcome.match}`;
    case "conflict":
      return `conflict at ${outcome.rejected}, try ${describeId(outcome.hint)}`;
    case "outdated":
      return "outdated";
    default:
      return unreachable(outcome);
  }
}

function describeWrite({ hardState, resetTo, truncateFrom, entries }: LogWrite): string {
  const parts: string[] = [];
  if (resetTo !== undefined) parts.push(`nothing before ${describeId(resetTo)}`);
  if (hardState !== undefined) parts.push(`term ${hardState.term} vote ${hardState.votedFor ?? "none"}`);
  if (truncateFrom !== undefined) parts.push(`cut from ${truncateFrom}`);
  if (entries.length > 0) parts.push(describeEntries(entries));
  return parts.length > 0 ? parts.join(", ") : "nothing new";
}
