/** Each named Byzantine behaviour, alone and with another, as primary and as backup: it deceives nobody and stops nothing. */
import { expect, test } from "vitest";
import { liars } from "../../test-support/bft-liars.js";
import { runNamed } from "../../test-support/bft-runs.js";

test("there are at least forty, each with a name of its own", () => {
  expect(new Set(liars.map(({ name }) => name)).size).toBe(liars.length);
  expect(liars.length).toBeGreaterThanOrEqual(40);
});

for (const [place, { name, hazard }] of liars.entries()) {
  const id = hazard === undefined ? "" : `${hazard}: `;
  test(`${id}one of four that is ${name}, as primary or as backup, keeps no client waiting for ever`, () => {
    const lied = [0, 1, 2].map((first) => runNamed([name], 4, first).lied.has(name));
    expect(lied).toContain(true);
  });

  const other = liars[(place * 7 + 3) % liars.length]?.name ?? name;
  test(`two of seven that are ${name} and ${other}, or ${name} both, keep no client waiting for ever`, () => {
    runNamed([name, other], 7, place % 2);
    runNamed([name, name], 7, place % 2);
  });
}
