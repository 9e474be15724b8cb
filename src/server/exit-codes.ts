/**
 * The exit codes of every verb, in one place: docs/reference/cli.md lists them and a test compares the two.
 *
 * Owns: the numbers. They never change their meaning, since scripts and supervisors match on them.
 */
export const exitCodes = {
  /** Did what was asked, or was stopped by SIGTERM or SIGINT and drained. */
  ok: 0,
  /** An unexpected failure; for `status`: a replica is unreachable or not ready. */
  failure: 1,
  /** Wrong usage or wrong configuration: nothing was started. */
  usage: 2,
  /** The data directory was refused: wiped, foreign, newer or locked. Starting again will not help. */
  dataRefused: 3,
  /** The replica stepped aside for good: its disk failed or a rule of its own was violated. */
  broken: 4,
  /** An address to listen on is taken or not ours. */
  addressUnavailable: 5,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends a verb with a message for people and a code for scripts; `main.ts` prints one and exits with the other. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

export function usageFailure(message: string): CommandFailure {
  return new CommandFailure(exitCodes.usage, message, {});
}
