/**
 * What the door counts since it opened.
 *
 * Owns: the shape. Written by the listener and its connections, read by INFO and by the metrics of the process.
 */
export interface RespCounters {
  /** Now. */
  readonly connections: number;
  readonly connectionsAccepted: number;
  /** Over the limit of connections. */
  readonly connectionsRefused: number;
  readonly commands: number;
  readonly protocolErrors: number;
  /** Connections closed because all of them together had too much unfinished input. */
  readonly inputOverflows: number;
}

export type MutableCounters = { -readonly [Name in keyof RespCounters]: RespCounters[Name] };

export function newCounters(): MutableCounters {
  return {
    connections: 0,
    connectionsAccepted: 0,
    connectionsRefused: 0,
    commands: 0,
    protocolErrors: 0,
    inputOverflows: 0,
  };
}
