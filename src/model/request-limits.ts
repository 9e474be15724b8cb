/**
 * Bounds of what one request may carry. They are part of the format, so they are the same on every replica and no option.
 *
 * Owns: the numbers. Enforced by `wire/request-codec.ts`, where foreign bytes come in; relied on by everything behind it.
 */
export const requestLimits = {
  /** One request, encoded. */
  requestBytesMax: 1_048_576,
  /** One reply, encoded. An output larger than this becomes a failure of its command (`execution/replies.ts`). */
  replyBytesMax: 4_194_304,
  /** One value of a collection, in canonical form, and one key: a checkpoint that holds them must fit into messages. */
  valueBytesMax: 4_194_304,
  stateKeyBytesMax: 1_048_576,
  /** One event's data, encoded, and the data of all events that are answered at once. */
  eventBytesMax: 1_048_576,
  eventPageBytesMax: 1_048_576,
  eventPageCountMax: 1_024,
  /** A command's name, as UTF-8. */
  nameBytesMax: 128,
  /** What an opener draws to recognise its reply. */
  nonceBytesMax: 64,
  /** Who asks, as proven by the transport. */
  principalBytesMax: 256,
  /** An `Idempotency-Key`. */
  keyBytesMax: 256,
  /** SHA-256. */
  digestBytes: 32,
  /** A failure's message, as UTF-8; a longer one is cut when the command fails. */
  messageBytesMax: 4096,
  /** The code of a rejection. */
  codeBytesMax: 256,
  /** Requests in one batch. */
  batchCountMax: 65_536,
} as const;
