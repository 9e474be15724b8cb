/** What a machine is given beside its state and its input, however it takes it. */
import { defaultLimits } from "../../../src/api/config.js";
import { expect, test } from "vitest";

import { define } from "../../../src/index.js";
import { logIndex, sessionId } from "../../../src/model/ids.js";
import { nodeHash } from "../../../src/node/hash.js";
import { decodeValue, encodeValue } from "../../../src/wire/canonical.js";

const machine = define({ name: "drawer", version: 1, state: () => ({}) }).machine({
  commands: {
    whole: (_state, _input: null, context) => [context.random(), context.uuid(), context.random()],
    inParts: (_state, _input: null, { random, uuid }) => [random(), uuid(), random()],
    later(_state, _input: null, context) {
      const { uuid } = context;
      const first = context.random();
      const drawn = uuid();
      return [first, drawn, context.random()];
    },
  },
  queries: {},
});

function run(name: "whole" | "inParts" | "later"): unknown {
  const index = logIndex(7);
  const session = sessionId(1);
  if (index === undefined || session === undefined) throw new RangeError("no such position");
  const commands = [{ ordinal: 0, session, name, input: encodeValue(null) }];
  const [outcome] = machine
    .open({ hash: nodeHash, limits: defaultLimits.machine })
    .apply({ index, time: 1_000, commands });
  return outcome?.status === "ok" ? decodeValue(outcome.output) : outcome;
}

// Both were methods over private fields: taken out of the context, as any user writes it, they threw, and the command failed.
test("what draws works when it is taken out of the context by destructuring, and draws the same", () => {
  const whole = run("whole");

  expect(whole).toEqual([expect.any(Number), expect.stringMatching(/^[0-9a-f-]{36}$/), expect.any(Number)]);
  expect(run("inParts")).toEqual(whole);
  expect(run("later")).toEqual(whole);
});
