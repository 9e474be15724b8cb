/**
 * Ports that a test gives to replicas that it starts, some of them minutes later.
 *
 * Owns: that no other test file takes them meanwhile. Each worker of the test runner has a range of its own, above that from which
 * the product takes any free ports and below that from which the system gives ports to outgoing connections; a file takes none twice.
 */
import { isFree } from "../src/server/free-ports.js";

const perWorker = 2500;
const first = 22_000 + (Number(process.env["VITEST_POOL_ID"] ?? 1) - 1) * perWorker;
const taken = new Set<number>();

export async function freePorts(count: number): Promise<readonly number[]> {
  const chosen: number[] = [];
  while (chosen.length < count) {
    const port = first + Math.floor(Math.random() * perWorker);
    if (taken.has(port)) continue;
    taken.add(port);
    if (await isFree(port)) chosen.push(port);
  }
  return chosen;
}
