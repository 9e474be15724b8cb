/** What the service side counts, for `status` and metrics. */

/** Since start. */
export interface HostCounters {
  requestsAdmitted: number;
  commandsExecuted: number;
  commandsRepeated: number;
  leaderChanges: number;
  readonly requestsRefused: Record<string, number>;
}

export function newCounters(): HostCounters {
  return { requestsAdmitted: 0, commandsExecuted: 0, commandsRepeated: 0, leaderChanges: 0, requestsRefused: {} };
}
