/**
 * Ports for a local cluster: the wanted ones, checked to be free, or any free ones.
 *
 * Owns: the choice. Any free ports are taken below the range from which the system gives ports to outgoing connections, since one
 * of those could take a replica's port while it restarts.
 */
import { createServer } from "node:net";
import { CommandFailure, exitCodes } from "./exit-codes.js";

export const loopbackHost = "127.0.0.1";

/** `count` ports from `base` on, or any free ones for base 0. `taken` are not chosen; chosen ones are added to it. */
export async function choosePorts(base: number, count: number, taken: Set<number>): Promise<readonly number[]> {
  const chosen: number[] = [];
  for (let at = 0; at < count; at += 1) {
    const port = base === 0 ? await anyFreePort(taken) : base + at;
    taken.add(port);
    chosen.push(port);
  }
  return chosen;
}

export async function checkFree(port: number, hint: string): Promise<void> {
  if (await isFree(port)) return;
  throw new CommandFailure(
    exitCodes.addressUnavailable,
    `Cannot listen on ${loopbackHost}:${port}: another process does. ${hint}`,
    {},
  );
}

const lowest = 10_000;
const highest = 22_000;

async function anyFreePort(taken: ReadonlySet<number>): Promise<number> {
  for (let tries = 0; tries < 1000; tries += 1) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest));
    if (!taken.has(port) && (await isFree(port))) return port;
  }
  throw new CommandFailure(exitCodes.addressUnavailable, `Cannot find a free port from ${lowest} to ${highest}`, {});
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, loopbackHost, () => server.close(() => resolve(true)));
  });
}
