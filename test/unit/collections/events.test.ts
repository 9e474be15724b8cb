/** Events of a machine: their positions, which are kept, and what is answered about them. */
import { describe, expect, test } from "vitest";

import { defaultLimits } from "../../../src/api/config.js";
import type { MachineInstance, Outcome } from "../../../src/api/low-level.js";
import { define, event } from "../../../src/index.js";
import { positionAfter, positionBehind, type EventPosition, type EventsAnswer } from "../../../src/model/events.js";
import { firstSession, logIndex, noIndex } from "../../../src/model/ids.js";
import { requestLimits } from "../../../src/model/request-limits.js";
import { nodeHash } from "../../../src/node/hash.js";
import { applyAlone } from "../../../src/sim/apply-alone.js";
import { decodeValue, encodeValue } from "../../../src/wire/canonical.js";

const machine = define({
  name: "speaker",
  version: 1,
  state: ({ cell }) => ({ swept: cell(false) }),
  events: { said: event<string>(), noted: event<unknown>(), never: event<null>() },
  timers: { speak: event<string>() },
}).machine({
  commands: {
    say(_state, texts: readonly string[], { emit }) {
      for (const text of texts) emit("said", text);
    },
    note: (_state, data: unknown, context) => context.emit("noted", data),
    noteFunction: (_state, _input, context) => context.emit("noted", { of: [() => 1] }),
    wrong: (_state, _input, context) => context.emit("other" as "said", ""),
    sayAndThrow(_state, text: string, context) {
      context.emit("said", text);
      throw new Error("taken back");
    },
    sayAndOverflow(_state, text: string, context) {
      context.emit("said", text);
      const descend = (depth: number): number => 1 + descend(depth + 1);
      return descend(0);
    },
    later: (_state, at: number, context) => context.timers.set("speak", `${at}`, at, `timer ${at}`),
    sweepNext: (state) => state.swept.set(true),
  },
  queries: {},
  on: { speak: (_state, text, context) => context.emit("said", text) },
  sweep: {
    dueAt: () => undefined,
    run(state, context) {
      if (!state.swept.get()) return;
      state.swept.set(false);
      context.emit("said", "sweep");
    },
  },
});

class Harness {
  readonly instance: MachineInstance;
  #index = 0;

  constructor(limits: Partial<typeof defaultLimits.machine> = {}) {
    this.instance = machine.open({ hash: nodeHash, limits: { ...defaultLimits.machine, ...limits } });
  }

  entry(...asked: readonly (readonly [name: string, input?: unknown])[]): readonly Outcome[] {
    this.#index += 1;
    const commands = asked.map(([name, input], ordinal) => {
      return { name, input: encodeValue(input), ordinal, session: firstSession };
    });
    return applyAlone(this.instance, { index: logIndex(this.#index) ?? noIndex, time: this.#index, commands });
  }

  read(from?: EventPosition, countMax = 100, name = "said"): EventsAnswer | undefined {
    return this.instance.events?.({ name, from, countMax }, { index: logIndex(this.#index) ?? noIndex, time: 0 });
  }

  said(from?: EventPosition): unknown {
    const answer = this.read(from);
    return answer?.kind === "page" ? textsOf(answer) : answer;
  }
}

function textsOf({ events }: Extract<EventsAnswer, { readonly kind: "page" }>): readonly string[] {
  return events.map(({ position, data }) => {
    const { index, ordinal, sequence } = position;
    return `${index}.${ordinal}.${sequence} ${String(decodeValue(data))}`;
  });
}

describe("events", () => {
  test("have positions in the order in which they were emitted: timers, the sweep, then each command", () => {
    const harness = new Harness();
    harness.entry(["later", 2], ["later", 1], ["sweepNext"]);
    harness.entry(["say", ["a", "b"]], ["say", []], ["say", ["c"]]);
    harness.entry(["say", ["d"]]);

    expect(harness.said()).toEqual([
      "2.-1.0 timer 1",
      "2.-1.1 timer 2",
      "2.-1.2 sweep",
      "2.0.0 a",
      "2.0.1 b",
      "2.2.0 c",
      "3.0.0 d",
    ]);
    expect(harness.instance.statistics?.eventsEmitted).toBe(7);
  });

  test("of a command that throws, or overflows the stack, were never emitted", () => {
    const harness = new Harness();
    harness.entry(["say", ["a"]], ["sayAndThrow", "b"], ["sayAndOverflow", "c"], ["say", ["d"]]);

    expect(harness.said()).toEqual(["1.0.0 a", "1.3.0 d"]);
    expect(harness.instance.statistics?.eventsEmitted).toBe(2);
  });

  test("are read from any position on, and a page tells where the next one begins", () => {
    const harness = new Harness();
    harness.entry(["say", ["a", "b", "c"]]);
    harness.entry(["say", ["d"]]);
    const [first] = [harness.read(undefined, 2)];

    expect(first).toMatchObject({ kind: "page", next: { index: 1, ordinal: 0, sequence: 2 } });
    expect(harness.said({ index: 1, ordinal: 0, sequence: 2 })).toEqual(["1.0.2 c", "2.0.0 d"]);
    expect(harness.said(positionAfter({ index: 1, ordinal: 0, sequence: 2 }))).toEqual(["2.0.0 d"]);
    expect(harness.read(positionBehind(2))).toEqual({ kind: "page", events: [], next: positionBehind(2) });
    // A replica that lags answers whoever is ahead of it with nothing, and does not send him back.
    expect(harness.read(positionBehind(9))).toEqual({ kind: "page", events: [], next: positionBehind(9) });
    expect(harness.read(undefined, 100, "never")).toEqual({ kind: "page", events: [], next: positionBehind(2) });
  });

  test("come in pages of bounded bytes, whatever count is asked for", () => {
    const harness = new Harness();
    const large = "x".repeat(requestLimits.eventPageBytesMax / 2);
    harness.entry(["say", [large, "between", large, "end"]]);
    const first = harness.read();

    expect(first?.kind === "page" && first.events.length).toBe(2);
    expect(first).toMatchObject({ next: { index: 1, ordinal: 0, sequence: 2 } });
    const second = harness.read({ index: 1, ordinal: 0, sequence: 2 });
    expect(second?.kind === "page" && second.events.length).toBe(2);
  });

  test("that are not declared, too large or no plain data fail their command", () => {
    const harness = new Harness();
    const outcomes = harness.entry(["wrong"], ["noteFunction"], ["note", "x".repeat(requestLimits.eventBytesMax)]);

    expect(outcomes.map((outcome) => outcome.status === "failed" && outcome.message)).toEqual([
      'Cannot emit "other": the machine declares no such event',
      "Cannot emit noted at of[0]: a function is not plain data",
      "Cannot emit noted: it takes more than 1048576 bytes",
    ]);
  });
});

describe("events beyond the limits", () => {
  test("are dropped, the oldest first and each name for itself, and asking for them is answered with where to go on (M12)", () => {
    const harness = new Harness({ eventsMax: 3 });
    harness.entry(["note", 1], ["say", ["a", "b"]]);
    harness.entry(["say", ["c", "d"]]);
    const lost = { index: 1, ordinal: 1, sequence: 0 };

    expect(harness.said()).toEqual(["1.1.1 b", "2.0.0 c", "2.0.1 d"]);
    expect(harness.said(positionBehind(0))).toEqual({ kind: "compacted", resumeAfter: lost });
    expect(harness.said(lost)).toEqual({ kind: "compacted", resumeAfter: lost });
    expect(harness.said(positionAfter(lost))).toEqual(["1.1.1 b", "2.0.0 c", "2.0.1 d"]);
    expect(harness.read(positionBehind(0), 9, "noted")).toMatchObject({ kind: "page", events: [{}] });
  });

  test("by bytes are dropped alike, even the one that was just emitted", () => {
    const harness = new Harness({ eventsBytesMax: 200 });
    harness.entry(["say", ["a", "b", "c"]]);
    expect(harness.said()).toEqual(["1.0.1 b", "1.0.2 c"]);
    harness.entry(["say", ["x".repeat(200)]]);

    expect(harness.said()).toEqual([]);
    expect(harness.said(positionBehind(1))).toEqual({
      kind: "compacted",
      resumeAfter: { index: 2, ordinal: 0, sequence: 0 },
    });
  });

  test("stay kept if the command that pushed them out throws", () => {
    const harness = new Harness({ eventsMax: 1 });
    harness.entry(["say", ["a"]], ["sayAndThrow", "b"]);

    expect(harness.said()).toEqual(["1.0.0 a"]);
  });
});

test("events are state: in the digest and in snapshots, with what was dropped", () => {
  const [harness, restored] = [new Harness({ eventsMax: 1 }), new Harness({ eventsMax: 1 })];
  harness.entry(["say", ["a", "b"]]);
  const before = harness.instance.digest();
  restored.instance.install(harness.instance.fork().chunks());
  restored.entry();

  expect(restored.said(positionBehind(0))).toMatchObject({ kind: "compacted" });
  expect(restored.said()).toEqual(["1.0.1 b"]);
  expect(restored.instance.digest()).toEqual(before);
  harness.entry(["say", ["c"]]);
  expect(harness.instance.digest()).not.toEqual(before);
});
