/** docs/reference/sim.md says what the command says. */
import { expect, test } from "vitest";
import { simCommand } from "../../../../src/server/commands/sim.js";
import { faultClasses } from "../../../../src/sim/faults.js";
import { readText } from "../../../../test-support/source.js";

const page = readText("docs/reference/sim.md");
const rows = [...page.matchAll(/^\| `([^`]+)` +\| (.+?) +\|$/gm)].map(([, name = "", meaning = ""]) => ({
  name,
  meaning,
}));

test("sim.md lists every flag and no other", () => {
  const flags = simCommand(() => undefined).options.map(({ long }) => long);
  const listed = rows.map(({ name }) => name.split(" ")[0]).filter((name) => name?.startsWith("--"));

  expect(listed).toEqual(flags);
});

test("sim.md lists every class of faults with its kinds", () => {
  const classes = Object.entries(faultClasses).map(([name, kinds]) => [
    name,
    kinds.map((kind) => `\`${kind}\``).join(", "),
  ]);
  const listed = rows.filter(({ name }) => name in faultClasses).map(({ name, meaning }) => [name, meaning]);

  expect(listed).toEqual(classes);
});
