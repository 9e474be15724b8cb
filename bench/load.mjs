/**
 * The load generator, in a process of its own so that its work is never counted as the replicas'.
 *
 * Owns: closed loops (a fixed number of operations outstanding, the next begins when one ends) and open loops (operations begin
 * at fixed times, whatever the answers do, and latency counts from the time an operation was due, so that a stall is not hidden).
 * Leaves to others: what is measured of the replicas. Started by `run.mjs` with fork; one job at a time.
 */
import { createHistogram, performance } from "node:perf_hooks";
import { connect as connectSocket } from "node:net";
import { peerOpeners } from "./peer-loads.mjs";
import { openRawBft } from "./raw-bft.mjs";
import { fixedFrames, keyFor, replyBytes, requestBytesOf, usualShape } from "./shape.mjs";

/** Written by one command of `fill`. */
const entriesPerFill = 200;

/**
 * A target begins an operation and calls `done(failed)` once, later. `options` are of `connect`: with `connectTo: "any"` the clients are spread
 * over the replicas, and each stays at its own. `module`: whose default export they run, instead of the key-value service.
 */
async function openQuorate({ endpoints, connections, options, operation, keys, valueBytes, module }) {
  const { connect } = await import("quorate/client");
  const { kv } = await import("quorate/services/kv");
  const machine = module === undefined ? kv : (await import(module)).default;
  const clients = [];
  for (let at = 0; at < connections; at += 1) {
    // Each client knows every replica; they find the leader by themselves.
    const rotated = [...endpoints.slice(at % endpoints.length), ...endpoints.slice(0, at % endpoints.length)];
    const known = options?.connectTo === "any" ? rotated.slice(0, 1) : rotated;
    clients.push(await connect(machine, { endpoints: known, name: `bench-${at}`, ...options }));
  }
  const value = "v".repeat(valueBytes);
  const operations = {
    set: (client, key) => client.set({ key, value }),
    get: (client, key) => client.get(key).then((found) => checkFound(found, valueBytes)),
    fill: (client, _key, number) => {
      const first = number * entriesPerFill;
      const entries = Array.from({ length: entriesPerFill }, (_, at) => ({ key: keyFor(first + at, keys), value }));
      return client.setAll(entries);
    },
  };
  const operate = operations[operation];
  return {
    begin(number, done) {
      operate(clients[number % clients.length], keyFor(number, keys), number).then(
        () => done(undefined),
        (failed) => done(failed),
      );
    },
    async close() {
      await Promise.all(clients.map((client) => client.$close()));
    },
  };
}

/** What is read must have been written: an empty answer would be a cheap one. */
function checkFound(found, valueBytes) {
  if (found?.value.length !== valueBytes) throw new Error("a key that was written has not its value");
}

async function openRaw({ endpoints, connections, keys, valueBytes }) {
  const requestBytes = requestBytesOf(valueBytes);
  const value = "v".repeat(valueBytes);
  const waiting = new Map();
  const sockets = [];
  for (let at = 0; at < connections; at += 1) {
    const [host, port] = endpoints[0].split(":");
    const socket = connectSocket({ host, port: Number(port), noDelay: true });
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    const take = fixedFrames(replyBytes, (frames) => {
      for (let offset = 0; offset < frames.length; offset += replyBytes) {
        const id = frames.readUInt32LE(offset + 4);
        const done = waiting.get(id);
        waiting.delete(id);
        done(undefined);
      }
    });
    socket.on("data", take);
    sockets.push({ socket, gathered: [] });
  }
  let scheduled = false;
  const flush = () => {
    scheduled = false;
    for (const connection of sockets) {
      if (connection.gathered.length === 0) continue;
      connection.socket.write(Buffer.concat(connection.gathered));
      connection.gathered = [];
    }
  };
  return {
    begin(number, done) {
      const id = number >>> 0;
      waiting.set(id, done);
      const bytes = Buffer.allocUnsafe(requestBytes);
      bytes.writeUInt32LE(requestBytes - 4, 0);
      bytes.writeUInt32LE(id, 4);
      bytes.write(keyFor(number, keys), 8, "latin1");
      bytes.write(value, 24, "latin1");
      sockets[number % sockets.length].gathered.push(bytes);
      if (!scheduled) {
        scheduled = true;
        setImmediate(flush);
      }
    },
    close() {
      for (const { socket } of sockets) socket.destroy();
      return Promise.resolve();
    },
  };
}

const openers = { quorate: openQuorate, raw: openRaw, rawBft: openRawBft, ...peerOpeners };

/** What is counted between `start` and `stop`; before it the caches warm up, after it the rest is drained. */
class Meter {
  #histogram = createHistogram();
  #startedAt = 0;
  #cpu;
  #counting = false;
  operations = 0;
  failures = new Map();

  start() {
    this.#counting = true;
    this.#startedAt = performance.now();
    this.#cpu = process.cpuUsage();
  }

  ended(begunAt, failed) {
    if (!this.#counting) return;
    if (failed !== undefined) {
      const code = failed.code ?? failed.name ?? String(failed);
      this.failures.set(code, (this.failures.get(code) ?? 0) + 1);
      return;
    }
    this.operations += 1;
    this.#histogram.record(Math.max(1, Math.round((performance.now() - begunAt) * 1e6)));
  }

  stop() {
    this.#counting = false;
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const { user, system } = process.cpuUsage(this.#cpu);
    const at = (percent) => (this.operations === 0 ? 0 : this.#histogram.percentile(percent) / 1e6);
    return {
      operations: this.operations,
      seconds,
      throughput: this.operations / seconds,
      p50Ms: at(50),
      p99Ms: at(99),
      maxMs: this.operations === 0 ? 0 : this.#histogram.max / 1e6,
      failures: Object.fromEntries(this.failures),
      loadCpuSeconds: (user + system) / 1e6,
    };
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Each of `outstanding` chains begins its next operation when its last one has ended. With `count` it ends after so many, all of which are
 * counted, instead of after a time.
 */
async function closedLoop(target, { outstanding, warmupSeconds, seconds, count = Infinity }, mark) {
  const meter = new Meter();
  let next = 0;
  let isCounted;
  const counted = new Promise((resolve) => (isCounted = resolve));
  let running = true;
  let active = 0;
  let drained;
  const begin = () => {
    if (next >= count) return;
    const begunAt = performance.now();
    active += 1;
    target.begin((next += 1), (failed) => {
      active -= 1;
      meter.ended(begunAt, failed);
      if (active === 0 && next >= count) isCounted();
      // A refusal comes at once: wait a moment instead of asking in a tight loop.
      if (running && failed !== undefined) setTimeout(begin, 5);
      else if (running) begin();
      else if (active === 0) drained?.();
    });
  };
  if (count !== Infinity) {
    await mark("start");
    meter.start();
  }
  for (let chain = 0; chain < outstanding; chain += 1) begin();
  if (count === Infinity) {
    await sleep(warmupSeconds * 1000);
    await mark("start");
    meter.start();
    await sleep(seconds * 1000);
  } else await counted;
  const result = meter.stop();
  await mark("stop");
  running = false;
  if (active > 0) await Promise.race([new Promise((resolve) => (drained = resolve)), sleep(10_000)]);
  return result;
}

/** Operation n is due at n / rate. Whatever was not answered in time is still waited for and counted. */
async function openLoop(target, { rate, warmupSeconds, seconds, outstandingMax }, mark) {
  const meter = new Meter();
  let next = 0;
  let active = 0;
  let held = 0;
  let running = true;
  const startedAt = performance.now();
  const beginDue = () => {
    if (!running) return;
    const due = Math.floor(((performance.now() - startedAt) * rate) / 1000);
    while (next < due) {
      const dueAt = startedAt + (next * 1000) / rate;
      // Past this bound the rate is beyond what the target can do: counted as held, never in silence.
      if (active >= outstandingMax) {
        next += 1;
        held += 1;
        continue;
      }
      active += 1;
      target.begin((next += 1), (failed) => {
        active -= 1;
        meter.ended(dueAt, failed);
      });
    }
    setTimeout(beginDue, 1);
  };
  beginDue();
  await sleep(warmupSeconds * 1000);
  held = 0;
  await mark("start");
  meter.start();
  await sleep(seconds * 1000);
  const result = meter.stop();
  await mark("stop");
  running = false;
  for (let waited = 0; active > 0 && waited < 10_000; waited += 10) await sleep(10);
  return { ...result, heldBack: held };
}

const open = new Map();

/** Targets stay open between jobs: connecting is not what is measured. */
async function targetOf(job) {
  const { target, endpoints, connections, options, keys, valueBytes, operation, module } = { ...usualShape, ...job };
  const how = { endpoints, connections, options, keys, valueBytes, operation, module };
  const name = JSON.stringify([target, how]);
  if (!open.has(name)) open.set(name, await openers[target](how));
  return open.get(name);
}

async function perform(job) {
  try {
    // The caller reads the replicas' counters when it hears the mark, and answers when it has them.
    const mark = (name) =>
      new Promise((resolve) => {
        process.once("message", resolve);
        process.send({ mark: name });
      });
    const target = await targetOf(job);
    const result = await (job.rate === undefined ? closedLoop : openLoop)(target, job, mark);
    process.send({ result });
  } catch (cause) {
    process.send({ failed: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) });
  }
}

async function end() {
  for (const target of open.values()) await target.close();
  process.exit(0);
}

process.on("message", (job) => {
  if (job.kind === "job") void perform(job);
  if (job.kind === "end") void end();
});
process.on("disconnect", () => process.exit(0));
