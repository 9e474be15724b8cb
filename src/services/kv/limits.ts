/**
 * Sizes that decide what commands do. They are the same on every replica and change only with the machine's version.
 *
 * Owns: the numbers and why they fit: a reply of `replyWeightMax` and one more value take less than the 4 MiB that a reply may have.
 */
export const kvLimits = {
  /** One string value, and one element, field or member. */
  valueBytesMax: 1_000_000,
  /** Replies of one request, in `weightOf`. A request stops before the next command once its replies weigh more than this. */
  replyWeightMax: 950_000,
  /** One command's reply; beyond it a read answers an error and a write fails. */
  commandReplyWeightMax: 1_010_000,
  /** Keys that one entry of the log expires before its commands run, and parts of removed keys that it sweeps. */
  expirationsPerEntryMax: 100,
  sweptPartsPerEntryMax: 1_000,
  /** Entries that one SCAN looks at, whatever its COUNT says. */
  scanCountMax: 10_000,
} as const;
