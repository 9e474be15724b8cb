import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

import { startReplica } from "../../../src/node/create-replica.js";
import { freePorts } from "../../../test-support/ports.js";
import type { Member } from "../../../src/model/membership.js";
import { until } from "../../../test-support/dev-cluster.js";
import { tally } from "../../../test-support/tally-machine.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-attack-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a replica whose port is taken is not started: it dials nobody once that is told", async () => {
  const [peerOfA, clientOfA, peerOfB, clientOfB, peerOfC, clientOfC, peerOfD, clientOfD] = await freePorts(8);
  const dialed = new Set<Socket>();
  let dials = 0;
  const peer = await listening(Number(peerOfB), (socket) => {
    dials += 1;
    dialed.add(socket);
    socket.on("close", () => dialed.delete(socket));
    socket.on("error", () => {});
  });
  // A replica that runs, whose links break as soon as they are open: it says how long it takes to dial again.
  let dialsOfAnother = 0;
  const away = await listening(Number(peerOfD), (socket) => {
    dialsOfAnother += 1;
    socket.on("error", () => {});
    socket.destroy();
  });
  const member = (id: string, peerPort?: number, clientPort?: number): Member => {
    const [peer, client] = [`127.0.0.1:${peerPort}`, `127.0.0.1:${clientPort}`];
    return { id, role: "voter", incarnation: 1, peer, client };
  };
  const another = await startReplica(tally, {
    id: "c",
    clusterId: "another",
    dataDir: join(folder, "c"),
    members: [member("c", peerOfC, clientOfC), member("d", peerOfD, clientOfD)],
    bootstrap: true,
  });
  const untilItDials = async (times: number): Promise<void> => {
    const before = dialsOfAnother;
    await until("another to dial again", async () => dialsOfAnother >= before + times || undefined);
  };
  const taken = await listening(Number(clientOfA), () => {});
  const started = startReplica(tally, {
    id: "a",
    clusterId: "attack",
    dataDir: join(folder, "a"),
    members: [member("a", peerOfA, clientOfA), member("b", peerOfB, clientOfB)],
    bootstrap: true,
  });
  await expect(started).rejects.toThrow("EADDRINUSE");
  await untilItDials(3);
  const before = dials;
  for (const socket of dialed) socket.destroy();
  await untilItDials(5);
  await another.stop();
  for (const server of [taken, peer, away]) server.close();

  expect(dials).toBe(before);
  expect(dialed.size).toBe(0);
});

function listening(port: number, accept: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer(accept).listen(port, "127.0.0.1", () => resolve(server));
  });
}
