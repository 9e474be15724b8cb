/** A missing program never passes in silence. */
import { afterEach, expect, test, vi } from "vitest";
import { requireTool } from "../../test-support/require-tool.js";

afterEach(() => vi.unstubAllEnvs());

function skipped(program: string): readonly string[] {
  const reasons: string[] = [];
  const skip = (reason?: unknown): never => {
    reasons.push(String(reason));
    return undefined as never;
  };
  requireTool({ skip } as Parameters<typeof requireTool>[0], program, "a-package");
  return reasons;
}

test("a program that is there lets the test run", () => {
  expect(skipped("node")).toEqual([]);
});

test("a program that is missing skips the test with a reason, and fails it on the build server", () => {
  vi.stubEnv("CI", undefined);
  expect(skipped("no-such-program")).toEqual(["Cannot run no-such-program: it is not installed (Debian: a-package)"]);

  vi.stubEnv("CI", "true");
  expect(() => skipped("no-such-program")).toThrow("Cannot run no-such-program");
});
