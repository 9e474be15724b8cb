/**
 * The raw baseline: one replica of three that do the least that durable replication needs, and no protocol at all.
 *
 * The same bytes as the product's operation arrive over loopback TCP. The first replica gathers what came while its last write
 * was in flight, sends it to the other two, and writes and flushes its own copy; each other replica gathers and does the same and
 * says how far it is durable; what two of three have is answered. No terms, no checksums, no sessions, no state: nothing survives a
 * crash. So it is a floor for CPU and latency that no correct system can go below by much. Started by `run.mjs` with fork.
 */
import { connect, createServer } from "node:net";
import { RawLog } from "./raw-log.mjs";
import { fixedFrames, replyBytes, requestBytesOf } from "./shape.mjs";

const lengthBytes = 4;

/** Counts what is durable here; gathers while a write is in flight. */
class Gatherer {
  #log;
  #durable;
  #waiting = [];
  #writing = false;
  count = 0;

  constructor(log, durable) {
    this.#log = log;
    this.#durable = durable;
  }

  add(bytes, operations, starting) {
    this.#waiting.push({ bytes, operations });
    if (!this.#writing) this.#write(starting);
  }

  #write(starting) {
    if (this.#waiting.length === 0) return;
    this.#writing = true;
    // One turn of the loop more, so that what arrives together is written together.
    setImmediate(() => {
      const taken = this.#waiting;
      this.#waiting = [];
      const bytes = Buffer.concat(taken.map((one) => one.bytes));
      const operations = taken.reduce((sum, one) => sum + one.operations, 0);
      starting?.(bytes);
      this.#log.append(bytes, () => {
        this.count += operations;
        this.#writing = false;
        this.#durable(this.count);
        this.#write(starting);
      });
    });
  }
}

function listen(server) {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));
}

/** Answers each batch with the number of operations durable here. */
async function follow(log, requestBytes) {
  const server = createServer({ noDelay: true }, (socket) => {
    const gatherer = new Gatherer(log, (count) => {
      const answer = Buffer.alloc(8);
      answer.writeDoubleLE(count);
      socket.write(answer);
    });
    socket.on(
      "data",
      fixedFrames(requestBytes, (frames) => gatherer.add(frames, frames.length / requestBytes, undefined)),
    );
    socket.on("error", () => socket.destroy());
  });
  return listen(server);
}

async function lead(log, requestBytes, followers) {
  const acknowledged = [0, 0];
  // Who waits for an answer, in the order of the log: a socket and the request's id.
  const waiting = [];
  let answered = 0;
  let first = 0;
  const settle = () => {
    const durable = [gatherer.count, ...acknowledged].sort((one, other) => one - other)[1];
    const replies = new Map();
    while (answered < durable) {
      const { socket, ids } = waiting[first];
      const taken = Math.min(ids.length - waiting[first].done, durable - answered);
      const bytes = Buffer.allocUnsafe(taken * replyBytes);
      for (let at = 0; at < taken; at += 1) {
        bytes.writeUInt32LE(replyBytes - lengthBytes, at * replyBytes);
        bytes.writeUInt32LE(ids[waiting[first].done + at], at * replyBytes + 4);
        bytes.writeDoubleLE(answered + at + 1, at * replyBytes + 8);
      }
      answered += taken;
      waiting[first].done += taken;
      if (waiting[first].done === ids.length) first += 1;
      const gathered = replies.get(socket);
      if (gathered === undefined) replies.set(socket, [bytes]);
      else gathered.push(bytes);
    }
    for (const [socket, bytes] of replies) if (!socket.destroyed) socket.write(Buffer.concat(bytes));
    if (first > 4096) {
      waiting.splice(0, first);
      first = 0;
    }
  };
  const gatherer = new Gatherer(log, settle);
  const links = followers.map((port, at) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const take = fixedFrames(8, (counts) => {
      acknowledged[at] = counts.readDoubleLE(counts.length - 8);
      settle();
    });
    socket.on("data", take);
    return socket;
  });
  const replicate = (bytes) => {
    for (const link of links) link.write(bytes);
  };
  const server = createServer({ noDelay: true }, (socket) => {
    const take = fixedFrames(requestBytes, (frames) => {
      const ids = [];
      for (let at = 0; at < frames.length; at += requestBytes) ids.push(frames.readUInt32LE(at + 4));
      waiting.push({ socket, ids, done: 0 });
      gatherer.add(frames, ids.length, replicate);
    });
    socket.on("data", take);
    socket.on("error", () => socket.destroy());
  });
  return listen(server);
}

async function start({ path, valueBytes, followers }) {
  const log = new RawLog(path);
  const requestBytes = requestBytesOf(valueBytes);
  const port = followers === undefined ? await follow(log, requestBytes) : await lead(log, requestBytes, followers);
  process.on("message", ({ ask }) => {
    if (ask === "syncs") return process.send({ syncs: log.syncs });
    log.close();
    process.exit(0);
  });
  process.on("disconnect", () => process.exit(0));
  process.send({ port });
}

process.once("message", (order) => void start(order));
