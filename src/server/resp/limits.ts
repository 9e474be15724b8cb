/**
 * Every limit of the RESP door, with its unit and its default.
 *
 * Owns: the numbers. What happens at a limit is said here and done where the limit is used; `docs/reference/redis-commands.md` tells
 * it to people.
 */

export interface RespLimits {
  /** Clients at once; one more is told so and closed. */
  readonly connectionsMax: number;
  /** One argument. A longer one is a protocol error, and the connection closes. */
  readonly bulkBytesMax: number;
  /** All arguments of one command together; beyond it the connection closes. */
  readonly queryBytesMax: number;
  /** Arguments of one command, its name included; beyond it the connection closes. */
  readonly argumentsMax: number;
  /** One line: an inline command, or the header of an array or string. */
  readonly inlineBytesMax: number;
  /** What all clients together have sent of commands that are not whole yet; the client that passes it is closed. */
  readonly unfinishedBytesMax: number;
  /** Replies that a client has not read. Above it nothing more is read from that client or executed for it. */
  readonly outputBytesMax: number;
  /** Commands read from one client and not yet sent on; above it nothing more is read from that client. */
  readonly backlogCountMax: number;
  /** Commands in one request to the machine. */
  readonly packCountMax: number;
  /** Bytes of arguments after which a request to the machine takes no further command. */
  readonly packBytesMax: number;
  /** Commands and their bytes between MULTI and EXEC; beyond either the transaction is discarded at EXEC. */
  readonly queuedCountMax: number;
  readonly queuedBytesMax: number;
  /** Keys that one client watches at once; WATCH beyond it is refused. */
  readonly watchedKeysMax: number;
}

export const defaultRespLimits: RespLimits = {
  connectionsMax: 10_000,
  bulkBytesMax: 4 * 1024 * 1024,
  queryBytesMax: 8 * 1024 * 1024,
  argumentsMax: 1024 * 1024,
  inlineBytesMax: 64 * 1024,
  unfinishedBytesMax: 256 * 1024 * 1024,
  outputBytesMax: 4 * 1024 * 1024,
  backlogCountMax: 1024,
  packCountMax: 128,
  packBytesMax: 64 * 1024,
  queuedCountMax: 10_000,
  queuedBytesMax: 512 * 1024,
  watchedKeysMax: 1_000,
};
