/** Hazards C1, C4, C5, C7 at the executor: whatever comes into the order, each number runs at most once. */
import { expect, test } from "vitest";
import { ask, command, execute, opened, replicaWith, resolve, textOf } from "../../test-support/order.js";

// "append x" was committed, the leader crashed before it answered, and the client asked the new leader (C1).
test("C1: a retry at the next leader, in a later entry, is answered like the first and runs nothing", () => {
  const [old, next] = [replicaWith({}), replicaWith({})];
  const entries = [
    [{ kind: "open", nonce: "n", principal: "p" } as const],
    [command(1 as never, 1, "x")],
    [command(1 as never, 1, "x")],
  ];
  const replies = [old, next].map((replica) => entries.map((entry) => textOf(execute(replica, 0, entry)[0]?.reply)));

  expect(replies).toEqual([
    ["opened", "1", "1"],
    ["opened", "1", "1"],
  ]);
  expect(next.machine.lines).toEqual(["2.0 1:x"]);
  expect(old.executor.digest()).toEqual(next.executor.digest());
});

test("C1: a retry in the same entry as the first runs nothing either", () => {
  const replica = replicaWith({});
  const session = opened(replica, 0, "n");

  const executed = execute(replica, 0, [command(session, 1, "x"), command(session, 1, "x"), command(session, 2, "y")]);

  expect(executed.map(({ reply }) => textOf(reply))).toEqual(["1", "1", "2"]);
});

// The client got no answer to 2 and must tell its user something true (C4): it has the question settled by the order.
test("C4: an unknown outcome is settled once: executed, or never, and a late copy of the request changes nothing", () => {
  const replica = replicaWith({});
  const session = opened(replica, 0, "n");
  ask(replica, 0, command(session, 1, "a"));

  const settled = ask(replica, 0, resolve(session, 2));
  const late = ask(replica, 0, command(session, 2, "was lost"));
  const again = ask(replica, 0, resolve(session, 2));
  const executed = ask(replica, 0, resolve(session, 1));

  expect([settled, late, again, executed].map(textOf)).toEqual([
    "tombstoned",
    "TOMBSTONED",
    "tombstoned",
    "executed 1",
  ]);
  expect(replica.machine.lines).toHaveLength(1);
});

test("C5: requests that overtake each other are never executed out of order", () => {
  const replica = replicaWith({});
  const session = opened(replica, 0, "n");
  const arrivals = [3, 1, 2, 5, 3, 4, 5];

  const answers = arrivals.map((number) => textOf(ask(replica, 0, command(session, number, String(number)))));

  expect(answers).toEqual(["OUT_OF_ORDER", "1", "2", "OUT_OF_ORDER", "3", "4", "5"]);
  expect(replica.machine.lines.map((line) => line.split(":")[1])).toEqual(["1", "2", "3", "4", "5"]);
});

test("C7: two clients that draw the same nonce share a session only if they are the same principal", () => {
  const replica = replicaWith({});
  const ann = ask(replica, 0, { kind: "open", nonce: "n", principal: "ann" });
  const bob = ask(replica, 0, { kind: "open", nonce: "n", principal: "bob" });

  expect([ann, bob]).toEqual([
    { status: "opened", session: 1 },
    { status: "opened", session: 2 },
  ]);
  expect(replica.executor.sessions.state(1 as never)).toMatchObject({ principal: "ann" });
});
