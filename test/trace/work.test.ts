/**
 * What a write costs three replicas together, in what can be counted exactly: the simulator runs the production code, so the same work
 * gives the same numbers on every machine. A change that makes a write cost more fails here, whatever the weather on the machine is;
 * `UPDATE=1` rewrites the table, and a row that grows needs a sentence in the commit that says why. Processor time is for `npm run bench`.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test, vi } from "vitest";
import { Executor } from "../../src/execution/executor.js";
import { kv } from "../../src/services/kv/index.js";
import { scenario } from "../../src/sim/index.js";
import { SimDisk } from "../../src/sim/sim-disk.js";
import { simHash } from "../../src/sim/sim-hash.js";
import { SimNetwork } from "../../src/sim/sim-network.js";

/** Of replicas alone; a send of a connection and a write of a file become one call of the operating system each. */
interface Work {
  sends: number;
  sentBytes: number;
  diskWrites: number;
  diskBytes: number;
  checksummedBytes: number;
  hashedBytes: number;
}

const work: Work = { sends: 0, sentBytes: 0, diskWrites: 0, diskBytes: 0, checksummedBytes: 0, hashedBytes: 0 };

function countEverything(): void {
  const network = SimNetwork.prototype.attach;
  vi.spyOn(SimNetwork.prototype, "attach").mockImplementation(function (this: SimNetwork, process, host) {
    const port = network.call(this, process, host);
    return { connect: (address, handlers) => counted(port.connect(address, handlers), host) };
  });
  const listen = SimNetwork.prototype.listen;
  vi.spyOn(SimNetwork.prototype, "listen").mockImplementation(function (this: SimNetwork, process, address, accept) {
    return listen.call(this, process, address, (connect) => accept((handlers) => counted(connect(handlers), address)));
  });
  const attach = SimDisk.prototype.attach;
  vi.spyOn(SimDisk.prototype, "attach").mockImplementation(function (this: SimDisk, process) {
    const disk = attach.call(this, process);
    const open = disk.openFile.bind(disk);
    const openLater = disk.openLater.bind(disk);
    disk.openFile = (path, mode) => countedFile(open(path, mode));
    disk.openLater = (path, mode, done) =>
      openLater(path, mode, (result) => done(result instanceof Error ? result : countedFile(result)));
    return disk;
  });
  for (const name of ["crc32", "crc32Within", "sha256"] as const) spyOnHash(name);
}

type Connection = ReturnType<ReturnType<SimNetwork["attach"]>["connect"]>;

function counted(connection: Connection, host: string): Connection {
  if (host.startsWith("c1")) return connection;
  const send = connection.send.bind(connection);
  connection.send = (bytes) => {
    work.sends += 1;
    work.sentBytes += bytes.length;
    send(bytes);
  };
  return connection;
}

type File = ReturnType<ReturnType<SimDisk["attach"]>["openFile"]>;

function countedFile(file: File): File {
  const write = file.write.bind(file);
  file.write = (at, chunks, done) => {
    work.diskWrites += 1;
    for (const { length } of chunks) work.diskBytes += length;
    write(at, chunks, done);
  };
  return file;
}

function spyOnHash(name: "crc32" | "crc32Within" | "sha256"): void {
  const real = simHash[name] as (...given: unknown[]) => unknown;
  vi.spyOn(simHash, name).mockImplementation(((bytes: Uint8Array, from?: number, to?: number) => {
    if (name === "sha256") work.hashedBytes += bytes.length;
    else work.checksummedBytes += name === "crc32" ? bytes.length : (to ?? 0) - (from ?? 0);
    return real(bytes, from, to);
  }) as never);
}

/** What the judge of the simulator hashes is no work of a replica. */
function leaveOutJudge(): void {
  const digest = Object.getOwnPropertyDescriptor(Executor.prototype, "digest")?.value as () => Uint8Array;
  vi.spyOn(Executor.prototype, "digest").mockImplementation(function (this: Executor) {
    const { hashedBytes } = work;
    const found = digest.call(this);
    work.hashedBytes = hashedBytes;
    return found;
  });
}

afterEach(() => vi.restoreAllMocks());

const writes = 2_048;

/** A closed loop: the next write begins when one ends. */
function run(outstanding: number): string {
  // One segment holds it all: preparing the next one is not what is measured.
  const limits = { storage: { segmentBytes: 4_194_304 } };
  const story = scenario({ machine: kv, seed: 1, limits });
  story.untilLeader();
  const ask = (at: number): ReturnType<typeof story.ask> =>
    story.ask({ command: "set", input: { key: `key:${String(at % 512).padStart(12, "0")}`, value: "v".repeat(128) } });
  story.untilEnded([ask(0)]);
  const before = { ...work };
  const entriesBefore = story.world.order.decided.length;
  let open = Array.from({ length: outstanding }, (_, at) => ask(at));
  let begun = outstanding;
  while (open.length > 0) {
    story.until("a write to end", () => open.some(({ end }) => end !== undefined));
    const left = open.filter(({ end }) => end === undefined);
    for (const { end } of open) if (end !== undefined) expect(end.kind).toBe("answered");
    const room = Math.min(outstanding - left.length, writes - begun);
    open = [...left, ...Array.from({ length: room }, (_, at) => ask(begun + at))];
    begun += room;
  }
  const each = (name: keyof Work): string => ((work[name] - before[name]) / writes).toFixed(2);
  const entries = ((story.world.order.decided.length - entriesBefore) / writes).toFixed(3);
  story.conclude();
  return [outstanding, entries, ...Object.keys(work).map((name) => each(name as keyof Work))].join("\t");
}

test("what a write costs is as written down", { timeout: 300_000 }, () => {
  countEverything();
  leaveOutJudge();
  const rows = [1, 16, 256].map(run);
  const text = `${["outstanding", "entries", ...Object.keys(work)].join("\t")}\n${rows.join("\n")}\n`;
  const file = fileURLToPath(new URL("work.txt", import.meta.url));
  if (process.env["UPDATE"] === "1") writeFileSync(file, text);

  expect(existsSync(file) ? readFileSync(file, "utf8") : "not written down yet").toBe(text);
});
