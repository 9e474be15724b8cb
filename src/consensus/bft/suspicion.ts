/**
 * When a primary is given up: a client's oldest request has waited too long for its order (sections 4.4 and 4.5.2), or all of them are
 * served far worse than lately (hazard B14; Clement et al., Aardvark, NSDI 2009, section 4.3).
 *
 * Owns: the clocks of waiting requests, how patience grows with each view that brings nothing, and comparing paces. Leaves to others: the
 * view change itself (`view-change.ts`). Each client has a clock of its own, so a primary that leaves one client out is noticed.
 */
import type { ReplicaId } from "../../model/ids.js";
import { administrator } from "../../model/membership.js";
import type { Batch, CommittedCertificate, Digest, RequestName } from "./messages.js";
import type { BftState, Pace, Waiting } from "./state.js";
import type { Turn } from "./turn.js";

/** A stretch is slow if one of the recent views had one with more than so many times its decisions, each in less than that part of its time. */
const slowFactor = 2;
/** Fewer say little of what can be expected. */
const sampleCountMin = 16;
/** A stretch lasts as long as a request may wait; with few requests up to so many times that. */
const stretchFactorMax = 4;
const slownessMax = 3;

/** An epoch ends a window after a change; so many entries are a step there, as each checkpoint on the way is. Clients are served meanwhile. */
const endingStep = 32;

/** A client's valid request waits here to be decided. One more than is watched of a client is watched when it is asked again. */
export function onRequest(state: BftState, turn: Turn, { client, id }: RequestName): void {
  const waiting = state.waiting.get(client) ?? new Map<Digest, Waiting>();
  if (waiting.has(id) || waiting.size >= state.settings.waitingCountMax) return;
  waiting.set(id, { cameAt: turn.now, since: turn.now });
  state.waiting.set(client, waiting);
}

/** The next request of each client in the batch has its own time from now on. A view that decides something has earned patience. */
export function onDecided(state: BftState, turn: Turn, { view, index }: CommittedCertificate, batch: Batch): void {
  if (state.ending !== undefined && index % endingStep === 0) waitAnew(state, turn.now, administrator);
  if (view === state.view && !state.isChanging && batch.requests.length > 0) state.attempts = 0;
  for (const name of batch.requests) {
    const request = stopWaiting(state, name, turn.now);
    const cameAt = Math.min(request?.cameAt ?? Infinity, forgetCame(state, name.id));
    if (cameAt === Infinity) continue;
    state.pace.decided += 1;
    state.pace.waitedMs += turn.now - cameAt;
  }
}

/** Kept of what one replica has told: what it makes up pushes out its own alone. */
const cameCountMax = 1_024;

/** Some of these may never be decided: their client asks again otherwise. */
export function onCame(state: BftState, turn: Turn, from: ReplicaId, ids: readonly Digest[]): void {
  if (!state.replicas.includes(from)) return;
  const came = state.came.get(from) ?? new Map<Digest, number>();
  state.came.set(from, came);
  for (const id of ids) {
    if (!came.has(id)) came.set(id, turn.now);
    const [oldest] = came.keys();
    if (came.size > cameCountMax && oldest !== undefined) came.delete(oldest);
  }
}

/** When it came, by whoever has told so first. */
function forgetCame(state: BftState, id: Digest): number {
  let cameAt = Infinity;
  for (const came of state.came.values()) {
    cameAt = Math.min(cameAt, came.get(id) ?? Infinity);
    came.delete(id);
  }
  return cameAt;
}

/** It has waited, if it did; its client's next has its own time from now on. */
export function stopWaiting(state: BftState, { client, id }: RequestName, now: number): Waiting | undefined {
  const waiting = state.waiting.get(client);
  const request = waiting?.get(id);
  if (waiting === undefined || request === undefined) return undefined;
  const [oldest] = waiting.keys();
  waiting.delete(id);
  const [next] = waiting.values();
  if (next === undefined) state.waiting.delete(client);
  else if (oldest === id) next.since = now;
  return request;
}

/** A state that was installed may have executed any of them; who still waits asks again. */
export function forgetWaiting(state: BftState): void {
  state.waiting.clear();
  state.came.clear();
}

/** What waits for this client, or for all, has its time from now on. */
export function waitAnew({ waiting }: BftState, now: number, only?: string): void {
  for (const [client, requests] of waiting) {
    if (only === undefined || client === only) for (const each of requests.values()) each.since = now;
  }
}

/** A view has begun: it is compared with itself and with as many before it as there are replicas, less one. */
export function onEntered(state: BftState, now: number): void {
  state.enteredAt = now;
  state.slowness = 0;
  state.bestPaces = [undefined, ...state.bestPaces.slice(0, state.replicas.length - 1)];
  beginStretch(state, now);
}

function beginStretch(state: BftState, now: number): void {
  state.pace = { since: now, decided: 0, waitedMs: 0 };
}

/**
 * Few requests make few decisions, and many requests wait: neither is the primary's fault. But to wait longer where there is less to do is
 * not the clients' doing. A slow stretch must be worse in both, and more of them slow than not, so that a disk's hiccup is
 * no reason; an idle one is not slow.
 */
export function judgePace(state: BftState, now: number): void {
  const { requestTimeoutMs } = state.settings;
  const { since, decided, waitedMs } = state.pace;
  const lasted = now - since;
  const isOver = lasted >= requestTimeoutMs && decided >= sampleCountMin;
  if (!isOver && lasted < stretchFactorMax * requestTimeoutMs) return;
  beginStretch(state, now);
  if (state.isChanging || state.ending !== undefined) return;
  const pace = { perMs: decided / lasted, waitedMs: waitedMs / Math.max(1, decided) };
  const isSlow = state.bestPaces.some((best) => best !== undefined && isFarWorse(pace, best));
  state.slowness = Math.max(0, state.slowness + (isSlow ? 1 : -1));
  const [best, ...earlier] = state.bestPaces;
  if (decided >= sampleCountMin && (best === undefined || powerOf(pace) > powerOf(best))) {
    state.bestPaces = [pace, ...earlier];
  }
}

function isFarWorse(pace: Pace, best: Pace): boolean {
  return pace.perMs * slowFactor < best.perMs && pace.waitedMs > best.waitedMs * slowFactor;
}

/** Of all that a view could do, the one in which much was done and little waited: a time that could be had at that load. */
function powerOf({ perMs, waitedMs }: Pace): number {
  return perMs / Math.max(1, waitedMs);
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
  waitAnew(state, now);
}

export function isSuspected(state: BftState, now: number): boolean {
  const limit = now - patienceOf(state);
  if (state.isChanging || state.enteredAt > limit) return false;
  if (state.slowness >= slownessMax) return true;
  for (const [client, waiting] of state.waiting) {
    // What is left at the end of an epoch is not for clients: they wait for the end, which is awaited by itself.
    if (state.ending !== undefined && client !== administrator) continue;
    const [oldest] = waiting.values();
    if (oldest !== undefined && oldest.since <= limit) return true;
  }
  return false;
}
