/** Requests and replies as fast-check draws them: every kind, every field, within the limits of the format. */
import * as fc from "fast-check";
import type { ExecutedRefusal, Reply, Request } from "../src/model/request.js";
import { numberOf, sessionOf } from "./order.js";

const session = fc.maxSafeNat().map((value) => sessionOf(Math.max(1, value)));
const number = fc.maxSafeNat().map((value) => numberOf(Math.max(1, value)));
const text = fc.string({ maxLength: 12, unit: "grapheme" }).filter((value) => value.length < 16);
const bytes = fc.uint8Array({ maxLength: 40 });
const expiresAt = fc.option(fc.maxSafeNat(), { nil: undefined });
const count = fc.nat();

const idempotency = fc.record({
  principal: text,
  key: text,
  digest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
});

const anyCommand = fc
  .record({
    kind: fc.constant("command" as const),
    session,
    numbers: fc.tuple(number, number),
    name: text,
    input: bytes,
    idempotency: fc.option(idempotency, { nil: undefined }),
  })
  .map(({ numbers: [one, other], ...rest }) => ({
    ...rest,
    number: one > other ? one : other,
    acknowledgedBelow: one > other ? other : one,
  }));

export const anyRequest: fc.Arbitrary<Request> = fc.oneof(
  fc.record({ kind: fc.constant("open" as const), nonce: text, principal: text }),
  anyCommand,
  fc.record({ kind: fc.constant("resolve" as const), session, number }),
  fc.record({ kind: fc.constant("keepAlive" as const), session, acknowledgedBelow: number }),
  fc.record({ kind: fc.constant("close" as const), session }),
);

const anyRefusal: fc.Arbitrary<ExecutedRefusal> = fc.oneof(
  fc.record({ code: fc.constantFrom("SESSION_UNKNOWN" as const, "SESSION_EXPIRED" as const), session }),
  fc.record({ code: fc.constant("OUT_OF_ORDER" as const), number, next: number }),
  fc.record({ code: fc.constantFrom("TOMBSTONED" as const, "REPLY_RELEASED" as const), number }),
  fc.record({
    code: fc.constantFrom("TOO_MANY_REPLIES" as const, "TOO_MANY_TOMBSTONES" as const),
    kept: count,
    limit: count,
  }),
  fc.record({ code: fc.constant("IDEMPOTENCY_CONFLICT" as const), key: text }),
  fc.record({ code: fc.constant("IDEMPOTENCY_FULL" as const), limit: count }),
);

const plainReply: fc.Arbitrary<Reply> = fc.oneof(
  fc.record({ status: fc.constant("ok" as const), output: bytes, expiresAt }),
  fc.record({ status: fc.constant("rejected" as const), code: text, data: bytes, expiresAt }),
  fc.record({ status: fc.constant("failed" as const), message: text, expiresAt }),
  fc.record({ status: fc.constant("refused" as const), refusal: anyRefusal }),
  fc.record({ status: fc.constant("opened" as const), session }),
  fc.record({ status: fc.constantFrom("alive" as const, "closed" as const) }),
);

export const anyReply: fc.Arbitrary<Reply> = fc.oneof(
  plainReply,
  fc.option(plainReply, { nil: undefined }).map((reply): Reply => ({
    status: "resolved",
    outcome: { kind: "executed", reply },
  })),
  fc.constant<Reply>({ status: "resolved", outcome: { kind: "tombstoned" } }),
);
