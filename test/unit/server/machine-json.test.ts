/** Machine values as JSON (hazard N4, threats 6 and 7). */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readMachineJson, toMachineJson } from "../../../src/server/machine-json.js";

const depthMax = 16;

function valueOf(text: string): unknown {
  const reading = readMachineJson(text, depthMax);
  if (reading.status === "invalid") throw new Error(reading.message);
  return reading.value;
}

function faultOf(text: string): string {
  const reading = readMachineJson(text, depthMax);
  return reading.status === "invalid" ? reading.message : `read ${String(reading.value)}`;
}

describe("reading", () => {
  test("an empty body is undefined, and plain JSON is itself", () => {
    expect(valueOf("")).toBeUndefined();
    expect(valueOf('{"key":"a","n":[1,2.5,null,true]}')).toStrictEqual({ key: "a", n: [1, 2.5, null, true] });
  });

  test("tags give what JSON lacks", () => {
    const text =
      '{"a":{"$bigint":"-12"},"b":{"$bytes":"aGk="},"c":{"$undefined":true},"d":{"$number":"-0"},"e":{"$object":{"$x":1}}}';

    expect(valueOf(text)).toStrictEqual({ a: -12n, b: new Uint8Array([104, 105]), c: undefined, d: -0, e: { $x: 1 } });
  });

  test("an integer that a double cannot hold is refused and not rounded, inside strings it is text (N4)", () => {
    expect(faultOf('{"amount":9007199254740993}')).toContain("$bigint");
    expect(valueOf('{"amount":9007199254740991,"text":"9007199254740993","large":1e300}')).toStrictEqual({
      amount: 9007199254740991,
      text: "9007199254740993",
      large: 1e300,
    });
  });

  test("nesting beyond the limit is refused before it is parsed, brackets in strings do not count (threat 6)", () => {
    expect(faultOf("[".repeat(100_000))).toContain(`deeper than ${depthMax}`);
    expect(valueOf(`["${"[".repeat(100)}\\""]`)).toStrictEqual([`${"[".repeat(100)}"`]);
    expect(valueOf("[".repeat(depthMax) + "]".repeat(depthMax))).toBeInstanceOf(Array);
  });

  test("__proto__ is plain data (threat 7)", () => {
    const value = valueOf('{"__proto__":{"admin":true},"constructor":1}') as Record<string, unknown>;

    expect(Object.keys(value)).toStrictEqual(["__proto__", "constructor"]);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)["admin"]).toBeUndefined();
  });

  test.each([
    ["{", "as JSON"],
    ['{"$bigint":5}', "$bigint"],
    ['{"$bigint":"05"}', "$bigint"],
    ['{"$bytes":"a"}', "$bytes"],
    ['{"$undefined":1}', "$undefined"],
    ['{"$number":"01"}', "$number"],
    ['{"$number":"1e3"}', "$number"],
    ['{"$number":"NaN"}', "$number"],
    ['{"$object":[]}', "$object"],
    ['{"$date":"today"}', "the tags are"],
  ])("%s is refused with a reason", (text, reason) => {
    expect(faultOf(text)).toContain(reason);
  });
});

test("every value has a JSON form that reads back as the same value", () => {
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(null, undefined, true, false, -0),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.bigInt(),
      fc.string(),
      fc.uint8Array(),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("$bigint", "$object", "$bytes", "__proto__")), tie("value"), {
        maxKeys: 3,
      }),
    ),
  }));

  fc.assert(
    fc.property(value, (original) => {
      const reading = readMachineJson(JSON.stringify(toMachineJson(original)), 64);
      // Dictionaries may have a null prototype, which plain JSON objects have not.
      expect(reading.status === "read" && toMachineJson(reading.value)).toEqual(toMachineJson(original));
      expect(reading).toEqual({ status: "read", value: original });
    }),
    { seed: 7, numRuns: 500 },
  );
});
