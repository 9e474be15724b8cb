/**
 * Every default and limit, in one place, with its unit; the relations between them are checked once, at start.
 *
 * Owns: the numbers. A section belongs to the stage that it is named after; a stage takes only its own section. Sections in
 * `ReplicatedLimits` decide what execution does, so they must be equal on every replica: the handshake compares
 * `fingerprintOf`. All others are a replica's own affair. Changed by nobody while a replica runs.
 */

/** Replicated sessions (`execution/session-table.ts`). */
export interface SessionLimits {
  /** Sessions held at once. One more evicts the least recently used. */
  readonly sessionsMax: number;
  /** A session that nobody uses for this long, by agreed time, expires. */
  readonly expiryMs: number;
  /** Sessions expired by one entry at most, so that no entry takes long; the others follow with the next. */
  readonly expirationsPerEntryMax: number;
  /** Replies kept for one session until they are acknowledged; also bounds its requests in flight. */
  readonly repliesMax: number;
  /** Bytes of replies kept for one session; passed by the outputs of one entry at most. */
  readonly replyBytesMax: number;
  /** Bytes of replies kept for all sessions together. Beyond it the least recently used sessions are evicted. */
  readonly replyBytesTotalMax: number;
  /** Numbers settled as never to be executed, ahead of the session's next. */
  readonly tombstonesMax: number;
}

/** Replicated `Idempotency-Key`s (`execution/idempotency-table.ts`). */
export interface IdempotencyLimits {
  /** Keys held at once. A new one is refused when all are held, never exchanged for an old one. */
  readonly keysMax: number;
  /** Bytes of replies held for all keys; passed by the outputs of one entry at most. */
  readonly replyBytesMax: number;
  /** A key is held for this long, by agreed time. */
  readonly retentionMs: number;
  /** Keys expired by one entry at most. */
  readonly expirationsPerEntryMax: number;
}

/** What must be the same on every replica, because execution depends on it. */
export interface ReplicatedLimits {
  readonly sessions: SessionLimits;
  readonly idempotency: IdempotencyLimits;
}

export interface Limits extends ReplicatedLimits {}

export const defaultLimits: Limits = {
  sessions: {
    sessionsMax: 65_536,
    expiryMs: 3_600_000,
    expirationsPerEntryMax: 1_024,
    repliesMax: 16_384,
    replyBytesMax: 16_777_216,
    replyBytesTotalMax: 268_435_456,
    tombstonesMax: 1_024,
  },
  idempotency: {
    keysMax: 262_144,
    replyBytesMax: 134_217_728,
    retentionMs: 86_400_000,
    expirationsPerEntryMax: 1_024,
  },
};

/** The first relation that does not hold, as a sentence for people. */
export function checkLimits(limits: Limits): string | undefined {
  return (
    checkCounts("sessions", limits.sessions) ??
    checkCounts("idempotency", limits.idempotency) ??
    checkSessions(limits.sessions)
  );
}

/** Equal for replicas that execute alike: every replicated limit in a fixed order. */
export function fingerprintOf(limits: ReplicatedLimits): string {
  return [textOf(limits.sessions), textOf(limits.idempotency)].join(";");
}

function checkSessions(limits: SessionLimits): string | undefined {
  if (limits.replyBytesTotalMax < limits.replyBytesMax) {
    return `Cannot keep replies: sessions.replyBytesTotalMax (${limits.replyBytesTotalMax}) is less than sessions.replyBytesMax (${limits.replyBytesMax}).`;
  }
  if (limits.expiryMs < 1000)
    return `Cannot keep sessions: sessions.expiryMs is ${limits.expiryMs} and must be at least 1000.`;
  return undefined;
}

function checkCounts(section: string, limits: object): string | undefined {
  for (const [name, value] of Object.entries(limits) as [string, unknown][]) {
    if (!Number.isSafeInteger(value) || Number(value) < 1) {
      return `Cannot use ${section}.${name}: it is ${String(value)} and must be a whole number from 1.`;
    }
  }
  return undefined;
}

function textOf(section: object): string {
  return Object.entries(section)
    .map(([name, value]) => `${name}=${String(value)}`)
    .sort()
    .join(",");
}
