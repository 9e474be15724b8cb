/** Real replicas, one of which computes wrongly once: it is named, set aside, rebuilt from a certified checkpoint, and serves again by itself. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { connect } from "../../src/node/create-client.js";
import { quorateMain, until } from "../../test-support/dev-cluster.js";
import { rightCounter } from "../../test-support/faulty-machine.js";
import { endpointFlags, memberFlags, placesOf, quorate, untilReady, type Place } from "../../test-support/places.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-quarantine-"));
const children: ChildProcess[] = [];

afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** What it writes to its log. */
function start(place: Place, known: readonly Place[], environment: Record<string, string>): () => string {
  const flags = [...memberFlags(place, known), "--cluster-id", "shop", "--data", join(folder, place.id), "--bootstrap"];
  const limits = ["--checkpoints-log-entries-max", "20", "--audit-every-ms", "200"];
  const machine = "test-support/faulty-machine.ts";
  const child = spawn(process.execPath, [quorateMain, "start", "--machine", machine, ...flags, ...limits], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...environment },
  });
  children.push(child);
  let text = "";
  child.stderr.on("data", (bytes: Buffer) => void (text += bytes.toString()));
  return () => text;
}

interface Told {
  readonly ready: boolean;
  readonly quarantine: { readonly state: string; readonly count: number; readonly rebuiltFrom?: number };
  readonly audit: { readonly named: readonly unknown[]; readonly findings: readonly { readonly index: number }[] };
}

async function told({ http }: Place): Promise<Told | undefined> {
  const answer = await fetch(`http://${http}/v1/status`, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined);
  return answer === undefined ? undefined : ((await answer.json()) as Told);
}

test("a replica that computed wrongly once is healed by itself", { timeout: 240_000 }, async () => {
  const wrongAt = 60;
  const places = await placesOf("abc");
  const [wrong, ...others] = places;
  if (wrong === undefined) throw new Error("three places");
  const log = start(wrong, places, { WRONG_AT: String(wrongAt) });
  const logs = [log, ...others.map((place) => start(place, places, {}))];
  await untilReady(places).catch((cause: unknown) => {
    throw new Error(`${String(cause)}\n${logs.map((each) => each()).join("\n")}`);
  });
  const client = await connect(rightCounter, { endpoints: others.map(({ client: at }) => at), timeoutMs: 60_000 });
  const counts: number[] = [];
  const add = async (): Promise<void> => void counts.push(await client.add({ by: 1 }));

  // Checkpoints are certified before it computes wrongly, so that there is one to begin with.
  while (counts.length < wrongAt - 5) await add();
  await until("a certified checkpoint", async () => ((await certifiedOf(wrong)) > 0 ? true : undefined), 60);
  const certified = await certifiedOf(wrong);
  while (counts.length < wrongAt + 5) await add();
  const healed = await until(
    "the end of its quarantine",
    async () => {
      const status = await told(wrong);
      return status?.quarantine.count === 1 && status.quarantine.state === "sound" ? status : undefined;
    },
    120,
  );

  expect(healed.quarantine.rebuiltFrom).toBeGreaterThanOrEqual(certified);
  // If its own next checkpoint showed it before the others did, nobody was named.
  expect(healed.quarantine.rebuiltFrom).toBeLessThan(healed.audit.findings[0]?.index ?? Infinity);
  expect(healed.audit.named).toEqual([]);
  await add();
  await client.$close();
  const there = await connect(rightCounter, { endpoints: [wrong.client], timeoutMs: 60_000 });
  expect(await there.count(undefined)).toBe(counts.length);
  await there.$close();
  expect(log()).toMatch(/what this replica has executed is not what the others have/);
  expect(log()).toMatch(/agrees with the others and answers again/);
  await untilReady(places);
  const said = await quorate("status", ...endpointFlags(places));
  expect([said.code, said.out]).toEqual([0, expect.stringMatching(/ready, rebuilt once/)]);
});

async function certifiedOf({ http }: Place): Promise<number> {
  const answer = await fetch(`http://${http}/v1/status`, { signal: AbortSignal.timeout(1_000) });
  const { checkpoint } = (await answer.json()) as { readonly checkpoint: { readonly certifiedIndex: number } };
  return checkpoint.certifiedIndex;
}
