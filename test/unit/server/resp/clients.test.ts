/** Redis clients at the door, with the real machine but without replication. */
import { afterAll, beforeAll } from "vitest";
import type { ReplicaStatus } from "../../../../src/api/replica.js";
import { startRespDoor, type RespDoor } from "../../../../src/server/resp/listener.js";
import { kv } from "../../../../src/services/kv/index.js";
import { MachineDoor } from "../../../../test-support/machine-door.js";
import { describeRespConformance } from "../../../../test-support/resp-conformance.js";

const status = { machine: { name: "kv", version: 1 }, uptimeMs: 0 } as unknown as ReplicaStatus;
let door: RespDoor;

beforeAll(async () => {
  // Agreed time moves by a fixed step for each entry: TTLs run without a clock.
  let now = 1_000_000;
  const machine = new MachineDoor(kv, () => (now += 1));
  door = await startRespDoor({ door: machine, host: "127.0.0.1", port: 0, info: () => status });
});

afterAll(() => door.close());

describeRespConformance("Redis clients at the door", () => [door]);
