/** What passes between clients and replicas survives the codec, and foreign bytes never throw. */
import fc from "fast-check";
import { expect, test } from "vitest";

import type { EventsAnswer } from "../../src/model/events.js";
import type { LogIndex, RequestNumber, SessionId } from "../../src/model/ids.js";
import { requestLimits } from "../../src/model/request-limits.js";
import type {
  AdmissionRefusal,
  ClientMessage,
  ReadLevel,
  ReplicaMessage,
  RequestKey,
} from "../../src/model/request.js";
import {
  clientMessageTypes,
  decodeClientMessage,
  decodeReplicaMessage,
  encodeClientMessage,
  encodeReplicaMessage,
  replicaMessageTypes,
} from "../../src/wire/client-codec.js";
import { eventsOfOutcome, outcomeOfEvents } from "../../src/wire/events-codec.js";

const seed = 20_250_611;
const session = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) as fc.Arbitrary<never> as fc.Arbitrary<SessionId>;
const number = fc.integer({
  min: 1,
  max: Number.MAX_SAFE_INTEGER,
}) as fc.Arbitrary<never> as fc.Arbitrary<RequestNumber>;
const index = fc.nat() as fc.Arbitrary<never> as fc.Arbitrary<LogIndex>;
const count = fc.nat();
const bytes = fc.uint8Array({ maxLength: 200 });
const text = fc.string({ maxLength: 30, unit: "grapheme" });

const key: fc.Arbitrary<RequestKey> = fc.oneof(
  fc.record({ kind: fc.constant("open" as const), nonce: fc.string({ maxLength: 64, unit: "grapheme-ascii" }) }),
  fc.record({ kind: fc.constantFrom("command" as const, "resolve" as const), session, number }),
  fc.record({ kind: fc.constantFrom("keepAlive" as const, "close" as const), session }),
);

const refusal: fc.Arbitrary<AdmissionRefusal> = fc.oneof(
  fc.record({ code: fc.constant("OVERLOADED" as const), queued: count, limit: count }),
  fc.record({ code: fc.constantFrom("NO_LEADER" as const, "STOPPING" as const) }),
  fc.record({ code: fc.constant("TOO_LARGE" as const), bytes: count, limit: count }),
  fc.record({ code: fc.constant("GAP" as const), next: number }),
  fc.record({ code: fc.constant("SESSION_NOT_HERE" as const), session }),
  fc.record({ code: fc.constant("UNKNOWN_COMMAND" as const), name: text }),
  fc.record({ code: fc.constant("INVALID_INPUT" as const), message: text }),
  fc.record({ code: fc.constant("INDEX_NOT_REACHED" as const), asked: index, executed: index }),
  fc.record({
    code: fc.constant("TOO_STALE" as const),
    ageMs: fc.constantFrom(0, 1.5, Number.POSITIVE_INFINITY),
    limitMs: count,
  }),
);

const level: fc.Arbitrary<ReadLevel> = fc.oneof(
  fc.record({ kind: fc.constantFrom("linearizable" as const, "lease" as const, "local" as const) }),
  fc.record({ kind: fc.constant("atLeast" as const), index }),
  fc.record({ kind: fc.constant("maxStaleness" as const), ms: count }),
);

const position = fc.record({ index: count, ordinal: fc.integer({ min: -1 }), sequence: count });

const eventsAnswer: fc.Arbitrary<EventsAnswer> = fc.oneof(
  fc.record({ kind: fc.constant("compacted" as const), resumeAfter: position }),
  fc.record({
    kind: fc.constant("page" as const),
    events: fc.array(fc.record({ position, data: bytes }), { maxLength: 5 }),
    next: position,
  }),
);

const clientMessage: fc.Arbitrary<ClientMessage> = fc.oneof(
  fc.record({ kind: fc.constant("confirm" as const), key }),
  fc.record({ kind: fc.constant("follow" as const), session }),
  fc.record({ kind: fc.constant("signed" as const), bundle: bytes }),
  fc.record({
    kind: fc.constant("query" as const),
    id: count,
    name: text,
    input: bytes,
    read: level,
  }),
  fc.record({
    kind: fc.constant("events" as const),
    id: count,
    question: fc.record({
      name: text,
      from: fc.option(position, { nil: undefined }),
      countMax: fc.integer({ min: 1, max: requestLimits.eventPageCountMax }),
    }),
    waitMs: count,
  }),
  fc.record({
    kind: fc.constant("request" as const),
    request: fc.oneof(
      fc.record({ kind: fc.constant("open" as const), nonce: fc.constant("n"), principal: text }),
      fc.record({ kind: fc.constant("resolve" as const), session, number }),
      fc.record({ kind: fc.constant("keepAlive" as const), session, acknowledgedBelow: number }),
      fc.record({ kind: fc.constant("close" as const), session }),
      fc.record({
        kind: fc.constant("command" as const),
        session,
        number,
        acknowledgedBelow: fc.constant(1 as RequestNumber),
        name: text,
        input: bytes,
        idempotency: fc.constant(undefined),
      }),
    ),
  }),
);

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 });

const outcome = fc.oneof(
  fc.record({ status: fc.constant("ok" as const), output: bytes }),
  fc.record({ status: fc.constant("rejected" as const), code: text, data: bytes }),
  fc.record({ status: fc.constant("failed" as const), message: text }),
);

const replicaMessage: fc.Arbitrary<ReplicaMessage> = fc.oneof(
  fc.record({
    kind: fc.constant("vote" as const),
    replica: fc.constantFrom("a", "replica-7"),
    voters: count,
    key,
    index,
    digest,
  }),
  fc.record({
    kind: fc.constant("votes" as const),
    replica: fc.constantFrom("a", "replica-7"),
    voters: count,
    session,
    index,
    said: fc.array(fc.record({ number, digest }), { maxLength: 5 }),
  }),
  fc.record({
    kind: fc.constant("reply" as const),
    key,
    index,
    reply: fc.oneof(
      fc.record({ status: fc.constant("ok" as const), output: bytes, expiresAt: fc.option(count, { nil: undefined }) }),
      fc.record({ status: fc.constantFrom("alive" as const, "closed" as const) }),
      fc.record({ status: fc.constant("opened" as const), session }),
    ),
  }),
  fc.record({ kind: fc.constant("requestRefused" as const), key, refusal }),
  fc.record({
    kind: fc.constant("queryReply" as const),
    id: count,
    index,
    ageMs: fc.double({ min: 0, max: 1e12, noNaN: true }),
    outcome,
  }),
  fc.record({ kind: fc.constant("queryRefused" as const), id: count, refusal }),
  fc.record({
    kind: fc.constant("leader" as const),
    leader: fc.option(fc.constantFrom("a", "replica-7"), { nil: undefined }),
    address: fc.option(fc.constantFrom("127.0.0.1:7001", "[::1]:7"), { nil: undefined }),
  }),
);

test("whatever a client says is read as it was said, and has one form", () => {
  fc.assert(
    fc.property(clientMessage, (message) => {
      const encoded = encodeClientMessage(message);
      const decoded = decodeClientMessage(clientMessageTypes[message.kind], encoded);
      expect(decoded).toEqual(message);
    }),
    { seed, numRuns: 300 },
  );
});

test("whatever a replica says is read as it was said", () => {
  fc.assert(
    fc.property(replicaMessage, (message) => {
      const decoded = decodeReplicaMessage(replicaMessageTypes[message.kind], encodeReplicaMessage(message));
      expect(decoded).toEqual(message);
    }),
    { seed, numRuns: 500 },
  );
});

test("an answer about events is read as it was given, and foreign bytes are none", () => {
  fc.assert(
    fc.property(eventsAnswer, bytes, (answer, foreign) => {
      expect(eventsOfOutcome(outcomeOfEvents(answer))).toEqual(answer);
      const read = eventsOfOutcome({ status: "ok", output: foreign });
      if (read !== undefined) expect(outcomeOfEvents(read)).toEqual({ status: "ok", output: foreign });
    }),
    { seed, numRuns: 500 },
  );
  expect(eventsOfOutcome({ status: "failed", message: "" })).toBeUndefined();
  expect(eventsOfOutcome({ status: "rejected", code: "other", data: new Uint8Array(3) })).toBeUndefined();
});

test("foreign bytes are read as nothing or as a message that says the same again", () => {
  fc.assert(
    fc.property(fc.nat({ max: 8 }), fc.uint8Array({ maxLength: 80 }), (type, foreign) => {
      const asked = decodeClientMessage(type, foreign);
      if (asked !== undefined) expect(encodeClientMessage(asked)).toEqual(foreign);
      const said = decodeReplicaMessage(type, foreign);
      if (said !== undefined) expect(encodeReplicaMessage(said)).toEqual(foreign);
    }),
    { seed, numRuns: 5_000 },
  );
});

test("a message with one byte changed, cut or added never throws, and is not taken for the message it was", () => {
  fc.assert(
    fc.property(replicaMessage, fc.nat(), fc.integer({ min: 1, max: 255 }), (message, place, change) => {
      const type = replicaMessageTypes[message.kind];
      const encoded = encodeReplicaMessage(message);
      const changed = Uint8Array.from(encoded, (byte, at) => (at === place % encoded.length ? byte ^ change : byte));

      expect(decodeReplicaMessage(type, changed)).not.toEqual(message);
      expect(decodeReplicaMessage(type, encoded.subarray(0, place % encoded.length))).toBeUndefined();
      expect(decodeReplicaMessage(type, Uint8Array.from([...encoded, 0]))).toBeUndefined();
    }),
    { seed, numRuns: 1_000 },
  );
});
