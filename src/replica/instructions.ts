/**
 * An operator's instructions on their way to the leader, and their outcomes on the way back.
 *
 * Owns: who waits for which, and for how long. Leaves to others: carrying them out (`consensus/`), links. Any replica may be told; one
 * that does not lead passes the instruction on. Called by `replica/replica.ts`. An outcome that does not come in time is `unknown`:
 * messages may be lost, and an instruction, unlike a request, is never sent twice.
 */
import type { Instruction, InstructionOutcome } from "../model/instruction.js";
import type { ReplicaId } from "../model/ids.js";
import type { Clock } from "../ports/clock.js";
import { decodeInstructionMessage, encodeInstructionMessage } from "../wire/instruction-codec.js";
import type { ToEngine } from "./channel.js";

export interface InstructionsParts {
  readonly self: ReplicaId;
  readonly clock: Clock;
  readonly leader: () => ReplicaId | undefined;
  readonly toEngine: (message: ToEngine) => void;
  readonly dropped: (reason: string, detail: string) => void;
}

type Done = (outcome: InstructionOutcome) => void;

/** One more is refused. */
const pendingMax = 64;
/** More than an election time-out, after which a transfer has ended. */
const instructionMsMax = 10_000;

export class Instructions {
  readonly #parts: InstructionsParts;
  readonly #pending = new Map<number, { readonly deadline: number; readonly done: Done }>();
  #nextId = 1;

  constructor(parts: InstructionsParts) {
    this.#parts = parts;
  }

  /** `done` is called once, and from within this call only with a refusal. */
  begin(instruction: Instruction, done: Done): void {
    const { self, clock, leader, toEngine } = this.#parts;
    // It is for all replicas, and no leader is believed.
    const to = instruction.kind === "reconfigure" ? self : leader();
    if (to === undefined) return done("NO_LEADER");
    if (this.#pending.size >= pendingMax) return done("BUSY");
    const id = this.#nextId;
    this.#nextId += 1;
    this.#pending.set(id, { deadline: clock.monotonic() + instructionMsMax, done });
    if (to === self || instruction.kind === "reconfigure") return toEngine({ kind: "instruct", id, instruction });
    const payload = encodeInstructionMessage({ kind: "instruct", id, instruction });
    toEngine({ kind: "forward", as: "instruction", to, payload });
  }

  /** Of an instruction that this replica, as the leader, has carried out. */
  instructed(id: number, outcome: InstructionOutcome): void {
    this.#settle(id, outcome);
  }

  receive(from: ReplicaId, payload: Uint8Array): void {
    const said = decodeInstructionMessage(payload);
    if (said === undefined) return this.#parts.dropped("malformed instruction", `from ${from}`);
    if (said.kind === "instructed") return this.#settle(said.id, said.outcome);
    const answer: Done = (outcome) => {
      const reply = encodeInstructionMessage({ kind: "instructed", id: said.id, outcome });
      this.#parts.toEngine({ kind: "forward", as: "instruction", to: from, payload: reply });
    };
    // Passed on once: two replicas that take each other for the leader would pass it on for ever.
    if (this.#parts.leader() === this.#parts.self) this.begin(said.instruction, answer);
    else answer("NO_LEADER");
  }

  tick(): void {
    this.#expire(this.#parts.clock.monotonic());
  }

  /** No outcome will come any more: nobody is left to wait. */
  end(): void {
    this.#expire(Infinity);
  }

  #expire(now: number): void {
    for (const [id, { deadline }] of this.#pending) if (now >= deadline) this.#settle(id, "unknown");
  }

  #settle(id: number, outcome: InstructionOutcome): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.done(outcome);
  }
}
