/** Each planted bug can be planted in the build as it is: in one place, and what comes of it is still a module. */
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { readFaults } from "../../../src/sim/faults.js";
import { plant, type PlantedBug } from "../../../src/sim/planted-bugs.js";
import { plantedBugs } from "../../../src/sim/planted-table.js";
import { exists, readSources, readText } from "../../../test-support/source.js";

describe("the table of planted bugs", () => {
  test("changes exactly one place of a file of the build for each", () => {
    const refused = plantedBugs.flatMap((bug) => {
      if (!exists(`dist/${bug.file}`)) return [`${bug.id}: there is no ${bug.file}`];
      const planted = plant(bug, readText(`dist/${bug.file}`));
      return planted.kind === "refused" ? [planted.reason] : [];
    });

    expect(refused).toEqual([]);
  });

  test("leaves modules that parse, and that are not what they were", () => {
    const codes = plantedBugs.map((bug) => {
      const before = readText(`dist/${bug.file}`);
      const planted = plant(bug, before);
      const code = planted.kind === "planted" ? planted.code : "";
      return { id: bug.id, code, isSame: code === before };
    });

    expect(codes.filter(({ isSame }) => isSame).map(({ id }) => id)).toEqual([]);
    expect(brokenModules(codes)).toEqual([]);
  });

  test("names each bug once, and only faults that exist", () => {
    const ids = plantedBugs.map(({ id }) => id);

    expect(new Set(ids).size).toBe(ids.length);
    expect(
      plantedBugs
        .map(({ options }) => readFaults(options?.faults ?? "all", options?.model ?? "crash"))
        .filter(isSentence),
    ).toEqual([]);
  });

  test("is known to nobody but the command that plants them", () => {
    const mentioning = readSources("src")
      .filter(({ text }) => /planted/i.test(text))
      .map(({ path }) => path)
      .filter((path) => !path.startsWith("src/server/sim/"));

    expect(mentioning).toEqual([
      "src/server/commands/sim.ts",
      "src/sim/planted-audits.ts",
      "src/sim/planted-bugs.ts",
      "src/sim/planted-byzantine.ts",
      "src/sim/planted-health.ts",
      "src/sim/planted-members.ts",
      "src/sim/planted-table.ts",
      "src/sim/planted-versions.ts",
    ]);
  });

  test("a module that does not parse is noticed", () => {
    expect(brokenModules([{ id: "X1", code: "export const = 1;" }])).toHaveLength(1);
  });
});

function isSentence(kinds: unknown): boolean {
  return typeof kinds === "string";
}

/** Like `node --check` for each, in one process. */
function brokenModules(codes: readonly { readonly id: string; readonly code: string }[]): readonly string[] {
  const script = `
    const { SourceTextModule } = require("node:vm");
    for (const { id, code } of JSON.parse(require("node:fs").readFileSync(0, "utf8"))) {
      try { new SourceTextModule(code) } catch (cause) { console.log(id + ": " + cause.message) }
    }`;
  const flags = ["--experimental-vm-modules", "--no-warnings", "-e", script];
  const { status, stdout, stderr } = spawnSync(process.execPath, flags, {
    input: JSON.stringify(codes),
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
  return stdout.split("\n").filter((line) => line !== "");
}

describe("planting", () => {
  const bug: PlantedBug = { id: "X1", hazard: "…", file: "a.js", from: "if (a)  b($c);", to: "$& $1" };

  test("finds its place however the white space is laid out, and writes the other text as it is", () => {
    expect(plant(bug, "x;\nif (a)\n    b($c);\ny;")).toEqual({ kind: "planted", code: "x;\n$& $1\ny;" });
  });

  test("refuses a text without the place, and one with two of them", () => {
    const none = plant(bug, "if (a) { b($c); }");
    const two = plant(bug, "if (a) b($c); if (a) b($c);");

    expect(none).toEqual({
      kind: "refused",
      reason: 'Cannot plant X1: 0 places in a.js say "if (a) b($c);", and it must be one',
    });
    expect(two).toMatchObject({ kind: "refused", reason: expect.stringContaining("2 places") });
  });
});
