import { expect, test } from "vitest";

import { defaultLimits, type Limits } from "../../src/api/config.js";
import { encodeUtf8 } from "../../src/base/bytes.js";
import { requestNumber, sessionId, type RequestNumber, type SessionId } from "../../src/model/ids.js";
import type { ReplicaMessage, Request } from "../../src/model/request.js";
import { ReplicaGroup } from "../../test-support/replica-group.js";

const session = sessionId(1) as SessionId;
const numberOf = (value: number): RequestNumber => requestNumber(value) as RequestNumber;

test("a retry under a session that has ended is answered, also for a number that was admitted before", async () => {
  const ask = await openSession();
  const first = await ask(commandOf(1, 1));
  await ask({ kind: "close", session });
  const again = await ask(commandOf(1, 1));

  expect(first).toMatchObject({ reply: { status: "ok" } });
  expect(again).toMatchObject({ reply: { status: "refused", refusal: { code: "SESSION_EXPIRED" } } });
});

test("a command is answered although a resolve of its number was refused by execution", async () => {
  const ask = await openSession({ sessions: { ...defaultLimits.sessions, repliesMax: 2 } });
  for (const value of [1, 2]) await ask(commandOf(value, 1));
  const resolved = await ask({ kind: "resolve", session, number: numberOf(3) });
  const third = await ask(commandOf(3, 3));

  expect(resolved).toMatchObject({ reply: { status: "refused", refusal: { code: "TOO_MANY_REPLIES" } } });
  expect(third).toMatchObject({ reply: { status: "ok" } });
});

type Ask = (request: Request) => Promise<ReplicaMessage | undefined>;

/** Speaks to the leader as a client would, one request at a time, under session 1. */
async function openSession(limits: Partial<Limits> = {}): Promise<Ask> {
  const group = new ReplicaGroup(["a", "b", "c"], limits);
  let heard: ReplicaMessage[] = [];
  const link = group.running.get(group.untilLeader())?.core.openLocal((message) => void heard.push(message));
  const ask: Ask = async (request) => {
    heard = [];
    link?.send({ kind: "request", request });
    await group.pass(100);
    return heard.find(({ kind }) => kind === "reply");
  };
  await ask({ kind: "open", nonce: "n", principal: "p" });
  return ask;
}

function commandOf(value: number, acknowledgedBelow: number): Request {
  return {
    kind: "command",
    session,
    number: numberOf(value),
    acknowledgedBelow: numberOf(acknowledgedBelow),
    name: "add",
    input: encodeUtf8("x"),
    idempotency: undefined,
  };
}
