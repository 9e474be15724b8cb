import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

import { encodeUtf8 } from "../../../src/base/bytes.js";
import { startReplica } from "../../../src/node/create-replica.js";
import { freePorts } from "../../../test-support/ports.js";
import { tally } from "../../../test-support/tally-machine.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-amnesia-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a replica whose log has forgotten even the names of entries is refused, and its disk is left as it is", async () => {
  const [peer, client] = await freePorts(2);
  const members = [
    { id: "a", role: "voter", incarnation: 1, peer: `127.0.0.1:${peer}`, client: `127.0.0.1:${client}` },
  ] as const;
  const options = { id: "a", clusterId: "forgetful", dataDir: join(folder, "a"), members };
  const replica = await startReplica(tally, { ...options, bootstrap: true });
  const door = replica.openDoor("test");
  // One entry for each: more than the tables of names that records carry.
  for (let count = 0; count < 600; count += 1) await door.command("add", encodeUtf8("x"), undefined);
  door.close();
  await replica.stop();
  const segment = join(folder, "a", "log", readdirSync(join(folder, "a", "log"))[0] ?? "");
  const bytes = readFileSync(segment);
  const used = bytes.findLastIndex((byte) => byte !== 0);
  writeFileSync(segment, bytes.fill(0xff, Math.floor(used * 0.1), Math.floor(used * 0.9)));
  const damaged = readFileSync(segment);

  const again = startReplica(tally, { ...options, bootstrap: false });

  await expect(again).rejects.toThrow(/Cannot start replica a: the log .* may have forgotten what it promised/);
  expect(readFileSync(segment).equals(damaged)).toBe(true);
  await expect(startReplica(tally, { ...options, bootstrap: false })).rejects.toThrow("may have forgotten");
});
