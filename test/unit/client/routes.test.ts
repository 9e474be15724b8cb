/** The choice of a replica. */
import { expect, test } from "vitest";

import { randomStream } from "../../../src/base/random.js";
import { defaultClientLimits } from "../../../src/client/limits.js";
import { Routes } from "../../../src/client/routes.js";

function routesOf(addresses: readonly string[], seed = 1): { readonly routes: Routes; readonly log: string[] } {
  const log: string[] = [];
  const links = {
    open: (address: string) => void log.push(`open ${address}`),
    close: (address: string) => void log.push(`close ${address}`),
    send: () => {},
  };
  return { routes: new Routes(addresses, links, defaultClientLimits, randomStream(seed, "routes")), log };
}

test("one link is opened, and nothing else while it opens", () => {
  const { routes, log } = routesOf(["a", "b", "c"]);

  routes.connect(0);
  routes.connect(1);

  expect(log).toHaveLength(1);
  expect(routes.ready).toBeUndefined();
});

test("an address given twice is one endpoint", () => {
  const { routes } = routesOf(["a", "b", "a"]);

  expect(routes.endpoints.map(({ address }) => address)).toEqual(["a", "b"]);
});

test("the candidate takes over only once it is ready, and then the old link is closed", () => {
  const { routes, log } = routesOf(["a"]);
  routes.connect(0);
  routes.onReady("a");
  routes.hint("leader", 1);
  const during = routes.ready?.address;

  const taken = routes.onReady("leader");

  expect(during).toBe("a");
  expect(taken).toBe("fresh");
  expect(routes.ready?.address).toBe("leader");
  expect(log).toEqual(["open a", "open leader", "close a"]);
});

test("a newer hint replaces the candidate", () => {
  const { routes, log } = routesOf(["a"]);
  routes.connect(0);
  routes.onReady("a");
  routes.hint("b", 1);
  routes.hint("b", 2);
  routes.hint("c", 3);

  expect(log).toEqual(["open a", "open b", "close b", "open c"]);
  expect(routes.onReady("b")).toBe("ignored");
});

test("a candidate that fails is avoided for a while, whoever names it", () => {
  const { routes, log } = routesOf(["a"]);
  routes.connect(0);
  routes.onReady("a");
  routes.hint("b", 1);
  routes.onClosed("b", "connection refused", 2);
  routes.hint("b", 2.5);
  const soon = [...log];
  routes.hint("b", 2_000);

  expect(soon).toEqual(["open a", "open b"]);
  expect(log).toEqual(["open a", "open b", "open b"]);
  expect(routes.ready?.address).toBe("a");
});

test("a candidate that is still opening becomes the current one when the current link breaks", () => {
  const { routes, log } = routesOf(["a"]);
  routes.connect(0);
  routes.onReady("a");
  routes.hint("b", 1);

  expect(routes.onClosed("a", "reset", 2)).toBe("lost");
  routes.connect(2);

  expect(routes.onReady("b")).toBe("fresh");
  expect(log).toEqual(["open a", "open b"]);
});

test("replicas cannot make the list of endpoints grow for ever", () => {
  const { routes } = routesOf(["a"]);
  routes.connect(0);
  routes.onReady("a");

  for (let at = 0; at < 200; at += 1) routes.hint(`told:${at}`, at);

  expect(routes.endpoints.length).toBeLessThan(20);
  expect(routes.endpoints[0]?.address).toBe("a");
});

test("what is told of a link that was given up changes nothing", () => {
  const { routes } = routesOf(["a", "b"]);
  routes.connect(0);
  const [opened] = routes.endpoints.filter(({ state }) => state === "opening");
  routes.leave("silent", 1);

  expect(routes.onReady(opened?.address ?? "")).toBe("ignored");
  expect(routes.onClosed(opened?.address ?? "", "late", 2)).toBe("ignored");
});

// It preferred who had failed least: one that had failed often while it was down came last, and each of the others took its time to disappoint.
test("after the current one is given up, the one that was tried longest ago is next, however often it has failed", () => {
  const { routes, log } = routesOf(["a", "b", "c"]);
  let now = 0;
  const failNext = (): string => {
    now += 60_000;
    routes.connect(now);
    const opened = log.at(-1)?.replace("open ", "") ?? "";
    routes.onClosed(opened, "refused", now);
    return opened;
  };
  const round = [failNext(), failNext(), failNext()];
  expect([...round].sort()).toEqual(["a", "b", "c"]);
  // The first of them fails twice more, as it was asked when nobody else could be.
  const [first = ""] = round;
  for (const endpoint of [first, first]) {
    routes.hint(endpoint, now + 60_000);
    routes.onClosed(endpoint, "refused", now + 60_000);
    now += 60_000;
  }

  expect([failNext(), failNext(), failNext()]).toEqual([...round.slice(1), first]);
});
