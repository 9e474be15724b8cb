/** Under Byzantine faults a session serves the key that opened it: a lying replica or client acts in nobody else's name (threat 4). */
import { describe, expect, test } from "vitest";
import { doAll } from "../../../src/base/steps.js";
import type { Executed } from "../../../src/execution/executor.js";
import { framesOf, installFrames } from "../../../src/execution/checkpoint-frames.js";
import { requestLimits } from "../../../src/model/request-limits.js";
import type { RequestNumber, SessionId } from "../../../src/model/ids.js";
import type { Request } from "../../../src/model/request.js";
import { encodeAttributedBatch, encodeRequest } from "../../../src/wire/request-codec.js";
import { command, rawEntry, replicaWith, textOf, type OrderedReplica } from "../../../test-support/order.js";

type Signed = readonly [signer: string, ...requests: readonly Request[]];

/** One entry; each group under its signer's name. */
function execute({ executor }: OrderedReplica, ...groups: readonly Signed[]): readonly Executed[] {
  const payload = encodeAttributedBatch(
    groups.map(([signer, ...requests]) => ({ signer, requests: requests.map(encodeRequest) })),
  );
  return executor.execute(rawEntry(executor.executedIndex + 1, 1000, { kind: "batch", payload }));
}

const open = (principal: string): Request => ({ kind: "open", nonce: "n", principal });

function opened(replica: OrderedReplica, principal: string, signer = principal): SessionId {
  const reply = execute(replica, [signer, open(principal)])[0]?.reply;
  if (reply?.status !== "opened") throw new Error("a session is opened");
  return reply.session;
}

describe("a session", () => {
  test("serves its opener, also one that signs for several", () => {
    const replica = replicaWith({});
    const session = opened(replica, "x");
    const door = opened(replica, "y/door", "y");

    const executed = execute(replica, ["x", command(session, 1, "a")], ["y", command(door, 1, "b")]);
    expect(executed.map(({ reply }) => textOf(reply))).toEqual(["1", "2"]);
  });

  test("serves nobody else: no effect on it, and no answer to whoever waits for its own", () => {
    const replica = replicaWith({});
    const session = opened(replica, "x");
    const forged: readonly Request[] = [
      command(session, 1, "stolen"),
      { kind: "resolve", session, number: 1 as RequestNumber },
      { kind: "keepAlive", session, acknowledgedBelow: 1 as RequestNumber },
      { kind: "close", session },
    ];
    const before = replica.machine.lines.length;
    const executed = execute(
      replica,
      ["y", ...forged],
      ["xy", command(session, 1, "longer name")],
      ["", command(session, 1, "none")],
    );

    expect(executed.map(({ reply }) => textOf(reply))).toEqual(Array.from({ length: 6 }, () => "SESSION_UNKNOWN"));
    for (const { key } of executed) expect(key).toEqual({ kind: "close", session: 0 });
    expect(replica.machine.lines).toHaveLength(before);
    // Its number 1 is neither spent nor settled.
    expect(execute(replica, ["x", command(session, 1, "a")]).map(({ reply }) => textOf(reply))).toEqual(["1"]);
  });

  test("that was opened in the same entry is not there for others either", () => {
    const replica = replicaWith({});
    const next = 1 as SessionId;
    const executed = execute(
      replica,
      ["x", open("x")],
      ["y", command(next, 1, "guessed")],
      ["x", command(next, 1, "a")],
    );

    expect(executed.map(({ reply }) => textOf(reply))).toEqual(["opened", "SESSION_UNKNOWN", "1"]);
  });

  test("that is not there is answered as to anybody", () => {
    const replica = replicaWith({});
    const executed = execute(replica, ["y", command(7 as SessionId, 1, "a")]);

    expect(executed[0]).toMatchObject({ key: { session: 7 }, reply: { refusal: { code: "SESSION_UNKNOWN" } } });
  });
});

describe("an idempotency key", () => {
  const principal = "p".repeat(requestLimits.principalBytesMax);
  const keyed = (session: SessionId, number: number, input: string): Request =>
    command(session, number, input, { idempotency: { principal, key: "k", digest: new Uint8Array(32).fill(1) } });

  test("is its signer's: another one takes it from nobody, and learns nothing of it", () => {
    const replica = replicaWith({});
    const [x, y] = [opened(replica, "x"), opened(replica, "y")];
    const executed = execute(replica, ["y", keyed(y, 1, "early")], ["x", keyed(x, 1, "a"), keyed(x, 2, "a")]);

    expect(executed.map(({ reply }) => textOf(reply))).toEqual(["1", "2", "2"]);
    expect(executed.map(({ repeated }) => repeated)).toEqual([false, false, true]);
  });

  test("is in a checkpoint, however long its names are", () => {
    const signer = "s".repeat(requestLimits.principalBytesMax);
    const [replica, other] = [replicaWith({}), replicaWith({})];
    execute(replica, [signer, keyed(opened(replica, signer), 1, "a")]);
    const at = { index: replica.executor.executedIndex, time: 1000 };

    expect(doAll(installFrames(other.executor, at, [...framesOf(replica.executor.fork())]))).toBeUndefined();
    expect(other.executor.statistics.idempotencyKeys).toBe(1);
  });
});
