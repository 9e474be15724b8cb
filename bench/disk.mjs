/**
 * How to reach the disk from an event loop: durable writes over zeros, by four ways, alone and in three processes at once.
 *
 * Owns: the figures behind the decision in docs/internals/storage.md. Run: `node bench/disk.mjs [directory]`.
 * One write is in flight at a time, as in a log that gathers what waits. Prints p50 and p99 in µs and CPU µs per write.
 */
import { fork } from "node:child_process";
import {
  constants,
  closeSync,
  fdatasync,
  fsyncSync,
  mkdtempSync,
  openSync,
  rmSync,
  writevSync,
  writev,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

const fileBytes = 8 * 1024 * 1024;
const writeCount = 600;

if (!isMainThread) runWorker();
else if (process.argv[2] === "child") await runChild(process.argv[3], process.argv[4], Number(process.argv[5]));
else await runAll(process.argv[2] ?? tmpdir());

async function runAll(parent) {
  const directory = mkdtempSync(join(parent, "quorate-bench-disk-"));
  console.log("way | bytes | processes | p50 µs | p99 µs | CPU µs per write | writes/s in all");
  for (const bytes of [4096, 65536]) {
    for (const processes of [1, 3]) {
      for (const way of ["pool fdatasync", "pool O_DSYNC", "worker postMessage", "worker Atomics", "main thread"]) {
        const results = await Promise.all(
          Array.from({ length: processes }, (_, at) => inChild(join(directory, `f${at}`), way, bytes)),
        );
        const mean = (name) => results.reduce((sum, one) => sum + one[name], 0) / processes;
        const rate = results.reduce((sum, one) => sum + one.rate, 0);
        console.log(
          [way, bytes, processes, ...["p50", "p99", "cpu"].map((n) => mean(n).toFixed(0)), rate.toFixed(0)].join(" | "),
        );
      }
    }
  }
  rmSync(directory, { recursive: true });
}

function inChild(file, way, bytes) {
  return new Promise((resolve, reject) => {
    const child = fork(process.argv[1], ["child", file, way, String(bytes)]);
    child.once("message", resolve);
    child.once("error", reject);
  });
}

async function runChild(file, way, bytes) {
  const fd = openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC, 0o600);
  writeSync(fd, Buffer.alloc(fileBytes));
  fsyncSync(fd);
  closeSync(fd);
  const write = openWay(way, file, bytes);
  const header = Buffer.alloc(128, 7);
  const payload = Buffer.alloc(bytes - 128, 9);
  const times = [];
  let cpu = process.cpuUsage();
  let start = performance.now();
  for (let count = -50; count < writeCount; count += 1) {
    if (count === 0) {
      cpu = process.cpuUsage();
      start = performance.now();
    }
    const from = performance.now();
    await write(((count + 50) * bytes) % fileBytes, [header, payload]);
    if (count >= 0) times.push((performance.now() - from) * 1000);
  }
  const rate = writeCount / ((performance.now() - start) / 1000);
  const { user, system } = process.cpuUsage(cpu);
  times.sort((a, b) => a - b);
  process.send(
    { p50: times[writeCount / 2], p99: times[Math.floor(writeCount * 0.99)], cpu: (user + system) / writeCount, rate },
    () => process.exit(0),
  );
}

function openWay(way, file, bytes) {
  const direct = way === "pool fdatasync" ? 0 : constants.O_DSYNC;
  const fd = openSync(file, constants.O_RDWR | direct);
  if (way === "main thread") return async (at, chunks) => void writevSync(fd, chunks, at);
  if (way === "pool O_DSYNC") return (at, chunks) => new Promise((resolve) => writev(fd, chunks, at, resolve));
  if (way === "pool fdatasync") {
    return (at, chunks) => new Promise((resolve) => writev(fd, chunks, at, () => fdatasync(fd, resolve)));
  }
  if (way === "worker postMessage") {
    const worker = new Worker(process.argv[1], { workerData: { way, fd } });
    let done = () => undefined;
    worker.on("message", () => done());
    return (at, chunks) =>
      new Promise((resolve) => {
        done = resolve;
        worker.postMessage({ at, chunks });
      });
  }
  const shared = new SharedArrayBuffer(16 + bytes);
  const flags = new Int32Array(shared, 0, 4);
  const area = new Uint8Array(shared, 16);
  new Worker(process.argv[1], { workerData: { way, fd, shared } });
  return async (at, chunks) => {
    let to = 0;
    for (const chunk of chunks) {
      area.set(chunk, to);
      to += chunk.length;
    }
    flags[1] = at;
    const seen = Atomics.load(flags, 2);
    Atomics.add(flags, 0, 1);
    Atomics.notify(flags, 0);
    const waiting = Atomics.waitAsync(flags, 2, seen);
    if (waiting.async) await waiting.value;
  };
}

function runWorker() {
  const { way, fd, shared } = workerData;
  if (way === "worker postMessage") {
    parentPort.on("message", ({ at, chunks }) => {
      writevSync(fd, chunks, at);
      parentPort.postMessage(0);
    });
    return;
  }
  const flags = new Int32Array(shared, 0, 4);
  const area = new Uint8Array(shared, 16);
  for (let seen = 0; ; seen += 1) {
    Atomics.wait(flags, 0, seen);
    writeSync(fd, area, 0, area.length, flags[1]);
    Atomics.add(flags, 2, 1);
    Atomics.notify(flags, 2);
  }
}
