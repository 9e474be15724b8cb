/**
 * When a primary is given up: a client's oldest request has waited too long for its order (sections 4.4 and 4.5.2; hazard B14).
 *
 * Owns: the clocks of waiting requests, and how patience grows with each view that brings nothing. Leaves to others: the view change
 * itself (`view-change.ts`). Each client has a clock of its own, so a primary that leaves one client out is noticed.
 */
import type { Batch, CommittedCertificate, RequestName } from "./messages.js";
import type { BftState } from "./state.js";
import type { Turn } from "./turn.js";

/** A client's valid request waits here to be decided. One more than is watched of a client is watched when it is asked again. */
export function onRequest(state: BftState, turn: Turn, { client, id }: RequestName): void {
  const waiting = state.waiting.get(client) ?? new Map<string, number>();
  if (waiting.has(id) || waiting.size >= state.settings.waitingCountMax) return;
  waiting.set(id, turn.now);
  state.waiting.set(client, waiting);
}

/** The next request of each client in the batch has its own time from now on. A view that decides something has earned patience. */
export function onDecided(state: BftState, turn: Turn, { view }: CommittedCertificate, batch: Batch): void {
  if (view === state.view && !state.isChanging && batch.requests.length > 0) state.attempts = 0;
  for (const { client, id } of batch.requests) {
    const waiting = state.waiting.get(client);
    if (waiting === undefined) continue;
    const [oldest] = waiting.keys();
    waiting.delete(id);
    const [next] = waiting.keys();
    if (next === undefined) state.waiting.delete(client);
    else if (oldest === id) waiting.set(next, turn.now);
  }
}

/** A state that was installed may have executed any of them; who still waits asks again. */
export function forgetWaiting(state: BftState): void {
  state.waiting.clear();
}

export function patienceOf({ attempts, settings }: BftState): number {
  const { requestTimeoutMs, requestTimeoutMsMax } = settings;
  return Math.min(requestTimeoutMsMax, requestTimeoutMs * 2 ** Math.min(attempts, 30));
}

/** So far behind what others say to have decided, what waits here may be decided. */
const behindCountMax = 16;

/**
 * f + 1 others, so one correct replica at least, have decided much that is not decided here: what waits may be among it. Its time begins
 * again once that is known; otherwise a replica that comes back would leave, alone, a view that serves everybody.
 */
export function waitIfBehind(state: BftState, now: number): void {
  if (state.waiting.size === 0) return;
  const ahead = [...state.heard.values()].filter((committed) => committed > state.committed + behindCountMax);
  if (ahead.length <= state.faults) return;
  for (const waiting of state.waiting.values()) for (const id of waiting.keys()) waiting.set(id, now);
}

export function isSuspected(state: BftState, now: number): boolean {
  const limit = now - patienceOf(state);
  if (state.isChanging || state.enteredAt > limit) return false;
  for (const waiting of state.waiting.values()) {
    const [since] = waiting.values();
    if (since !== undefined && since <= limit) return true;
  }
  return false;
}
