/**
 * Every limit and interval of a client, with its unit and default, checked once.
 *
 * Owns: the numbers and the relations between them. Called by `node/`, and by the simulator, which draws small ones.
 */
import { requestLimits } from "../model/request-limits.js";

export interface ClientLimits {
  /** Commands sent and not yet settled; at most what a session keeps replies for. */
  readonly inFlightMax: number;
  /** Bytes of their inputs. */
  readonly inFlightBytesMax: number;
  /** Commands that wait for a place in flight, a session or a connection; beyond it calls are refused as OVERLOADED. */
  readonly waitingMax: number;
  readonly waitingBytesMax: number;
  /** Queries waiting or in flight; beyond it calls are refused as OVERLOADED. */
  readonly queriesMax: number;
  /** Events asked for at once, and how long a replica may wait for the first of them before it answers. */
  readonly eventPageMax: number;
  readonly eventWaitMs: number;
  /** Bytes of one input; beyond it a call is refused as TOO_LARGE. */
  readonly inputBytesMax: number;
  /** Milliseconds without an answer to the oldest request before it is sent again, elsewhere if possible. Doubles while nothing answers. */
  readonly attemptMs: number;
  readonly attemptMsMax: number;
  /** Milliseconds for a connection to become ready. */
  readonly connectMs: number;
  /** First and longest delay before trying again after a refusal or a broken connection, before jitter. */
  readonly backOffMs: number;
  readonly backOffMsMax: number;
  /** Milliseconds without an answer from the session before it is kept alive. */
  readonly keepAliveMs: number;
  /** After so long without an answer the session may have expired: it is asked before anything is risked under it. */
  readonly suspectMs: number;
  /** Outcomes of unknown requests kept for `resolve` after they were settled in the background. */
  readonly settledMax: number;
}

export const defaultClientLimits: ClientLimits = {
  inFlightMax: 512,
  inFlightBytesMax: 8 * 1024 * 1024,
  waitingMax: 65_536,
  waitingBytesMax: 64 * 1024 * 1024,
  queriesMax: 65_536,
  eventPageMax: 256,
  eventWaitMs: 5_000,
  inputBytesMax: 1_040_000,
  attemptMs: 1_000,
  attemptMsMax: 8_000,
  connectMs: 2_000,
  backOffMs: 10,
  backOffMsMax: 1_000,
  keepAliveMs: 30_000,
  suspectMs: 90_000,
  settledMax: 1_024,
};

/** Why these limits cannot be used, if so. */
export function checkClientLimits(limits: ClientLimits): string | undefined {
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value < 1) return `Cannot use ${name} ${value}: it is a whole number from 1`;
  }
  if (limits.inputBytesMax > limits.inFlightBytesMax) return "Cannot use inputBytesMax: it is above inFlightBytesMax";
  const { eventPageCountMax } = requestLimits;
  if (limits.eventPageMax > eventPageCountMax) return `Cannot use eventPageMax: it is above ${eventPageCountMax}`;
  if (limits.attemptMs > limits.attemptMsMax) return "Cannot use attemptMs: it is above attemptMsMax";
  if (limits.backOffMs > limits.backOffMsMax) return "Cannot use backOffMs: it is above backOffMsMax";
  if (limits.keepAliveMs >= limits.suspectMs) return "Cannot use keepAliveMs: it is not below suspectMs";
  return undefined;
}
