/** Clients that wait for events at one replica: when they are answered, and how the wait ends otherwise. */
import { describe, expect, test } from "vitest";

import { defaultLimits } from "../../../src/api/config.js";
import { Executor } from "../../../src/execution/executor.js";
import { define, event } from "../../../src/index.js";
import { positionBehind, type EventPosition, type EventsAnswer } from "../../../src/model/events.js";
import type { ReplicaMessage } from "../../../src/model/request.js";
import { nodeHash } from "../../../src/node/hash.js";
import { EventWaits } from "../../../src/replica/event-waits.js";
import { encodeValue } from "../../../src/wire/canonical.js";
import { eventsOfOutcome } from "../../../src/wire/events-codec.js";
import { ManualClock } from "../../../test-support/manual-clock.js";
import { command, entryOf, sessionOf } from "../../../test-support/order.js";

const machine = define({
  name: "speaker",
  version: 1,
  state: () => ({}),
  events: { said: event<string>(), never: event<null>() },
}).machine({
  commands: { say: (_state, text: string, context) => context.emit("said", text) },
  queries: {},
});

class Waiting {
  readonly clock = new ManualClock();
  readonly congested = new Set<number>();
  readonly executor = new Executor({ machine, hash: nodeHash, limits: defaultLimits, founders: { members: [] } });
  /** Each answer in a line. */
  readonly told: string[] = [];
  readonly waits = new EventWaits({
    executor: this.executor,
    clock: this.clock,
    isCongested: (connection) => this.congested.has(connection),
    answer: (connection, message) => this.told.push(`${connection}: ${lineOf(message)}`),
  });
  #number = 0;

  constructor() {
    this.executor.execute(entryOf(1, 1, [{ kind: "open", nonce: "n", principal: "p" }]));
  }

  say(text: string): void {
    const request = { ...command(sessionOf(1), (this.#number += 1), "", { name: "say" }), input: encodeValue(text) };
    this.executor.execute(entryOf(this.executor.executedIndex + 1, 1, [request]));
    this.waits.executed();
  }

  ask(connection: number, from: EventPosition | undefined, { name = "said", waitMs = 1_000, most = 9 } = {}): unknown {
    const question = { name, from, countMax: 10 };
    return this.waits.ask(connection, { kind: "events", id: connection * 10, question, waitMs }, most);
  }
}

function lineOf(message: ReplicaMessage): string {
  if (message.kind === "queryRefused") return message.refusal.code;
  if (message.kind !== "queryReply") return message.kind;
  const answer: EventsAnswer | undefined = eventsOfOutcome(message.outcome);
  if (answer?.kind !== "page") return answer?.kind ?? "nothing";
  return `${answer.events.length} events, then ${answer.next.index}`;
}

describe("who asks for events", () => {
  test("is answered at once if there are some, and else as soon as there are", () => {
    const waiting = new Waiting();
    waiting.say("a");
    waiting.ask(1, undefined);
    waiting.ask(2, positionBehind(2));
    expect(waiting.told).toEqual(["1: 1 events, then 3"]);
    waiting.say("b");
    waiting.say("c");

    expect(waiting.told.slice(1)).toEqual(["2: 1 events, then 4"]);
  });

  test("and is ahead of this replica waits until it has caught up, and is never sent back (C8)", () => {
    const waiting = new Waiting();
    waiting.ask(1, positionBehind(3));
    waiting.say("a");
    waiting.say("b");
    expect(waiting.told).toEqual([]);
    waiting.say("c");

    expect(waiting.told).toEqual(["1: 1 events, then 5"]);
  });

  test("waits here no longer than asked, and then for a read barrier", () => {
    const waiting = new Waiting();
    waiting.ask(1, undefined);
    waiting.ask(2, undefined, { waitMs: 2_000, name: "never" });
    waiting.clock.advance(999);
    expect(waiting.waits.takeOver(9)).toEqual([]);
    waiting.clock.advance(1);
    expect(waiting.waits.takeOver(0)).toEqual([]);
    expect(waiting.waits.takeOver(9).map(({ connection }) => connection)).toEqual([1]);
    waiting.say("a");
    waiting.clock.advance(1_000);

    expect(waiting.told).toEqual([]);
    expect(waiting.waits.takeOver(9).map(({ connection }) => connection)).toEqual([2]);
  });

  test("is refused if the event is unknown, and if too many wait", () => {
    const waiting = new Waiting();

    expect(waiting.ask(1, undefined, { name: "other" })).toBeUndefined();
    expect(waiting.ask(1, undefined, { most: 1 })).toBeUndefined();
    expect(waiting.ask(2, undefined, { most: 1 })).toEqual({ code: "OVERLOADED", queued: 1, limit: 1 });
    waiting.waits.disconnected(1);
    expect(waiting.ask(2, undefined, { most: 1 })).toBeUndefined();
    expect(waiting.told).toEqual(["1: UNKNOWN_COMMAND"]);
  });

  test("and does not read what is sent is answered when there is room again, with what there is by then", () => {
    const waiting = new Waiting();
    waiting.ask(1, undefined);
    waiting.congested.add(1);
    waiting.say("a");
    waiting.say("b");
    expect(waiting.told).toEqual([]);
    waiting.congested.delete(1);
    waiting.waits.drained(1);

    expect(waiting.told).toEqual(["1: 2 events, then 4"]);
  });

  test("is sent elsewhere when this replica stops", () => {
    const waiting = new Waiting();
    waiting.ask(1, undefined);
    waiting.ask(2, undefined);
    waiting.waits.stop({ code: "STOPPING" });
    waiting.say("a");

    expect(waiting.told).toEqual(["1: STOPPING", "2: STOPPING"]);
  });
});
