import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

import { startReplica } from "../../../src/node/create-replica.js";
import { choosePorts } from "../../../src/server/free-ports.js";
import { tally } from "../../../test-support/tally-machine.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-attack-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a replica whose port is taken is not started: it dials nobody once that is told", async () => {
  const [peerOfA, clientOfA, peerOfB, clientOfB] = await choosePorts(0, 4, new Set());
  const dialed = new Set<Socket>();
  let dials = 0;
  const peer = await listening(Number(peerOfB), (socket) => {
    dials += 1;
    dialed.add(socket);
    socket.on("close", () => dialed.delete(socket));
    socket.on("error", () => {});
  });
  const taken = await listening(Number(clientOfA), () => {});
  const started = startReplica(tally, {
    id: "a",
    clusterId: "attack",
    dataDir: join(folder, "a"),
    members: [
      { id: "a", role: "voter", incarnation: 1, peer: `127.0.0.1:${peerOfA}`, client: `127.0.0.1:${clientOfA}` },
      { id: "b", role: "voter", incarnation: 1, peer: `127.0.0.1:${peerOfB}`, client: `127.0.0.1:${clientOfB}` },
    ],
    bootstrap: true,
  });
  await expect(started).rejects.toThrow("EADDRINUSE");
  await new Promise((resolve) => setTimeout(resolve, 300));
  const before = dials;
  for (const socket of dialed) socket.destroy();
  await new Promise((resolve) => setTimeout(resolve, 500));
  taken.close();
  peer.close();

  expect(dials).toBe(before);
  expect(dialed.size).toBe(0);
});

function listening(port: number, accept: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer(accept).listen(port, "127.0.0.1", () => resolve(server));
  });
}
