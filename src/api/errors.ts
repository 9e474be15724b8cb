/**
 * The kinds of "it did not go as asked", never confused.
 *
 * Owns: the error classes that the client throws. Match on `code`: wording may change.
 *
 * | class            | was it executed?                 | ask again?                                        |
 * |------------------|----------------------------------|---------------------------------------------------|
 * | InvalidInput     | no                               | with another input                                |
 * | RequestRefused   | surely not                       | yes                                               |
 * | CommandRejected  | yes, and the machine said no     | when the data of the rejection says how           |
 * | CommandFailed    | yes, threw, and was rolled back  | no: it would throw again                          |
 * | OutcomeUnknown   | nobody can tell yet              | never blindly: settle it with the token           |
 * | InstructionRefused | an operator's: no, or unknown  | look at the status first                          |
 *
 * `EventsCompacted` is no answer to a request: events were asked for that are no longer kept.
 */
import type { EventPosition } from "../model/events.js";
import type { InstructionOutcome, InstructionRefusal } from "../model/instruction.js";
import type { AdmissionRefusal, ExecutedRefusal } from "../model/request.js";

/** The input has no canonical form, or the command's schema does not accept it. Nothing was ordered. */
export class InvalidInput extends Error {
  override readonly name = "InvalidInput";
  readonly code = "INVALID_INPUT";
}

/** The machine answered `rejected(code, data)`. */
export class CommandRejected extends Error {
  override readonly name = "CommandRejected";
  /** The machine's own. */
  readonly code: string;
  readonly data: unknown;
  readonly index: number;

  constructor(command: string, rejection: { readonly code: string; readonly data: unknown; readonly index: number }) {
    super(`Cannot do ${command}: rejected with ${rejection.code}`);
    this.code = rejection.code;
    this.data = rejection.data;
    this.index = rejection.index;
  }
}

/** The command threw on every replica alike and was rolled back. */
export class CommandFailed extends Error {
  override readonly name = "CommandFailed";
  readonly code = "COMMAND_FAILED";
  readonly index: number;

  constructor(command: string, failure: { readonly message: string; readonly index: number }) {
    super(`Cannot do ${command}: it threw and was rolled back: ${failure.message}`);
    this.index = failure.index;
  }
}

/** Why a request was surely not executed: said by a replica, by execution, or by the client itself before it sent anything. */
export type Refusal =
  | AdmissionRefusal
  | ExecutedRefusal
  | { readonly code: "NOT_CONNECTED"; readonly message: string }
  | { readonly code: "TIMED_OUT"; readonly waitedMs: number }
  | { readonly code: "CANCELLED" }
  | { readonly code: "CLOSED" };

/** Surely not executed. When that cannot be promised the error is `OutcomeUnknown` instead. */
export class RequestRefused extends Error {
  override readonly name = "RequestRefused";
  readonly code: Refusal["code"];
  readonly refusal: Refusal;

  constructor(asked: string, refusal: Refusal) {
    super(`Cannot do ${asked}: refused, and surely not executed: ${describeRefusal(refusal)}`);
    this.code = refusal.code;
    this.refusal = refusal;
  }
}

/** Names one request for ever. Plain data: it may be stored, and settled by another client later. */
export interface OutcomeToken {
  readonly session: number;
  readonly number: number;
}

/** It may have been executed, or may still be. `client.$resolve(token)` settles it. */
export class OutcomeUnknown extends Error {
  override readonly name = "OutcomeUnknown";
  readonly code = "OUTCOME_UNKNOWN";
  readonly token: OutcomeToken;

  constructor(command: string, unknown: { readonly reason: string; readonly token: OutcomeToken }) {
    super(`Cannot tell whether ${command} was executed: ${unknown.reason}`);
    this.token = unknown.token;
  }
}

/** Some of the events asked for are no longer kept. Those behind `resumeAfter` are: go on with that as `after`, knowing that there is a gap. */
export class EventsCompacted extends Error {
  override readonly name = "EventsCompacted";
  readonly code = "EVENTS_COMPACTED";
  readonly resumeAfter: EventPosition;

  constructor(event: string, resumeAfter: EventPosition) {
    const { index, ordinal, sequence } = resumeAfter;
    super(`Cannot follow ${event} from there: events up to ${index}.${ordinal}.${sequence} are no longer kept`);
    this.resumeAfter = resumeAfter;
  }
}

/** An operator's instruction was not carried out, or, with `OUTCOME_UNKNOWN`, nobody can tell: the status does. */
export class InstructionRefused extends Error {
  override readonly name = "InstructionRefused";
  readonly code: InstructionRefusal | "OUTCOME_UNKNOWN";

  constructor(instruction: string, outcome: Exclude<InstructionOutcome, "done">) {
    super(`Cannot ${instruction}: ${whyRefused[outcome]}`);
    this.code = outcome === "unknown" ? "OUTCOME_UNKNOWN" : outcome;
  }
}

const whyRefused: Readonly<Record<Exclude<InstructionOutcome, "done">, string>> = {
  FIXED_MEMBERS: "no administrator is configured, so under Byzantine faults the members are fixed",
  NOT_SIGNED: "under Byzantine faults a change of members is what the administrator has signed",
  OTHER_EPOCH: "it is signed for other members than there are now; look at them and sign it anew",
  NOTHING_CHANGES: "those are the members already",
  TOO_FEW_MEMBERS: "under Byzantine faults there must be four members at least",
  TOO_MANY_CHANGES: "more members would leave, or be new, than may lie; change fewer at a time",
  FIXED_ORDER: "under Byzantine faults members take turns as primaries",
  NOT_UNDER_CRASH_FAULTS: "members are changed by the leader here; nothing is signed",
  unknown: "the leader was replaced or did not answer in time; whether it was done, the status tells",
  NO_LEADER: "this replica knows no leader at the moment",
  BUSY: "another instruction is being carried out, or the leader is too new; ask again",
  NO_TARGET: "there is no such voter, or the leader has not heard it lately",
  NOT_TAKEN: "leadership was offered and not taken within an election time-out; the leader goes on",
  ALREADY_A_MEMBER: "it is a member already",
  NOT_A_MEMBER: "it is no member",
  TOO_MANY_MEMBERS: "a cluster has at most 64 members",
  LAST_VOTER: "no voter would be left",
  NOT_CLOSE: "it lacks too much of the log, or the leader has not heard it lately",
  NO_QUORUM: "less than a majority of the voters would be heard, so nothing could be decided",
};

/** For people: the code and its facts. */
function describeRefusal(refusal: Refusal): string {
  const facts = Object.entries(refusal).filter(([name]) => name !== "code");
  return [refusal.code, ...facts.map(([name, fact]) => `${name} ${String(fact)}`)].join(", ");
}
