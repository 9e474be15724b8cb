/**
 * The output that says no.
 *
 * Owns: `rejected`. A rejection is decided by the machine, ordered, remembered and the same on every replica; it is not an
 * error of the system. What the command wrote before it returned a rejection stays written: check first, write afterwards.
 */

/** Registered, so that a machine and a server that were loaded from two copies of this package still understand each other. */
const mark: unique symbol = Symbol.for("quorate.rejected") as never;

export interface Rejected<Code extends string = string, Data = unknown> {
  readonly [mark]: true;
  readonly code: Code;
  readonly data: Data;
}

/**
 * `code` names the reason for programs, `data` carries what the caller needs to do better. The client throws it as
 * `CommandRejected`, or returns it from `$try` with the codes and data of this command as types.
 */
export function rejected<const Code extends string>(code: Code): Rejected<Code, undefined>;
export function rejected<const Code extends string, Data>(code: Code, data: Data): Rejected<Code, Data>;
export function rejected(code: string, data?: unknown): Rejected {
  return { [mark]: true, code, data };
}

export function isRejected(value: unknown): value is Rejected {
  return typeof value === "object" && value !== null && mark in value;
}
