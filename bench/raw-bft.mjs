/**
 * The baseline of `bft.mjs`: one of four replicas that do the least that three phases of agreement with MACs need, and no protocol at all.
 *
 * Each request carries an HMAC for each replica; the first replica gathers what came while its last batches were in flight, four at most,
 * and sends each with its SHA-256; each other one checks it and says so to all (PREPARE); a batch that three have is written and flushed,
 * which is said to all (COMMIT); what three have is done, and each replica answers the client, which waits for two equal answers. All that
 * goes to one replica in one turn is one write under one HMAC. No views, checkpoints, sessions, retransmission or state transfer, and no
 * client that lies: whoever sends a request with one wrong MAC can split the replicas (hazard B13). So it is a floor, and no system. Also
 * the client's side of it, for `load.mjs`. Started by `processes.mjs` with fork.
 *
 *   frame     u32 bytes after this | HMAC-SHA256 of the rest | messages, each u32 bytes after this, then u8 kind, u32 sequence, SHA-256, body
 *   request   u32 bytes after this | u32 id | 16 bytes key | 128 bytes value | an HMAC for each replica
 *   answers   u32 bytes after this | HMAC-SHA256 of the rest | ids, u32 each
 */
import { createHash, createHmac, createSecretKey, timingSafeEqual } from "node:crypto";
import { connect, createServer } from "node:net";
import { pathToFileURL } from "node:url";
import { RawLog } from "./raw-log.mjs";
import { keyBytes, keyFor, requestBytesOf, usualShape, value } from "./shape.mjs";

export const bftReplicas = 4;
const faults = 1;
const quorum = 2 * faults + 1;
const pipelineMax = 4;
const macBytes = 32;
const lengthBytes = 4;
const headBytes = 1 + 4 + 32;
const requestBytes = requestBytesOf(usualShape.valueBytes);
const authenticated = requestBytes + bftReplicas * macBytes;
const [proposal, prepare, commit] = [1, 2, 3];
/** The client's place among those who share keys. */
const client = bftReplicas;

const keyBetween = (one, other) => {
  const name = `key ${Math.min(one, other)} ${Math.max(one, other)}`;
  return createSecretKey(createHash("sha256").update(name).digest());
};
const macOf = (key, bytes) => createHmac("sha256", key).update(bytes).digest();
const digestOf = (bytes) => createHash("sha256").update(bytes).digest();

/** Cuts a stream into what stands behind each length; `end` is called behind each chunk. */
function lengthFrames(take, end = () => {}) {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (data.length - at >= lengthBytes) {
      const until = at + lengthBytes + data.readUInt32LE(at);
      if (until > data.length) break;
      take(data.subarray(at + lengthBytes, until));
      at = until;
    }
    rest = data.subarray(at);
    end();
  };
}

function writeUnderMac(socket, key, parts) {
  const body = parts.length === 1 ? parts[0] : Buffer.concat(parts);
  const head = Buffer.allocUnsafe(lengthBytes);
  head.writeUInt32LE(macBytes + body.length, 0);
  socket.cork();
  socket.write(head);
  socket.write(macOf(key, body));
  socket.write(body);
  socket.uncork();
}

const isUnderMac = (key, frame) => timingSafeEqual(macOf(key, frame.subarray(macBytes)), frame.subarray(0, macBytes));

class Replica {
  #self;
  #log;
  #keys;
  #links = [];
  #outgoing = Array.from({ length: bftReplicas }, () => []);
  #clients = new Set();
  #slots = new Map();
  #store = new Map();
  #waiting = [];
  #isScheduled = false;
  #next = 1;
  #executed = 0;
  #inFlight = 0;
  #writing = false;
  #toWrite = [];

  constructor(self, log) {
    this.#self = self;
    this.#log = log;
    this.#keys = Array.from({ length: bftReplicas + 1 }, (_, other) => keyBetween(self, other));
  }

  get entries() {
    return this.#executed;
  }

  attach(other, socket) {
    this.#links[other] = socket;
    const take = lengthFrames(
      (frame) => {
        if (!isUnderMac(this.#keys[other], frame)) return;
        lengthFrames((message) => this.#receive(message))(frame.subarray(macBytes));
      },
      () => this.#flush(),
    );
    socket.on("data", take);
  }

  attachClient(socket) {
    this.#clients.add(socket);
    socket.on("close", () => this.#clients.delete(socket));
    if (this.#self !== 0) return;
    let gathered = [];
    const take = lengthFrames(
      (request) => gathered.push(request),
      () => {
        if (gathered.length > 0) this.#waiting.push(...gathered);
        gathered = [];
        this.#proposeSoon();
      },
    );
    socket.on("data", take);
  }

  #proposeSoon() {
    if (this.#isScheduled || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (this.#inFlight >= pipelineMax || this.#waiting.length === 0) return;
      const requests = this.#waiting;
      this.#waiting = [];
      const batch = Buffer.concat(requests);
      if (!this.#areGood(batch)) return;
      const sequence = this.#next++;
      this.#inFlight += 1;
      const slot = this.#slotAt(sequence);
      slot.batch = batch;
      slot.digest = digestOf(batch);
      slot.prepares += 1;
      this.#say(proposal, sequence, slot.digest, batch);
      this.#flush();
    });
  }

  #receive(message) {
    const kind = message[0];
    const sequence = message.readUInt32LE(1);
    const slot = this.#slotAt(sequence);
    if (kind === proposal) {
      const batch = message.subarray(headBytes);
      const digest = digestOf(batch);
      if (!digest.equals(message.subarray(5, headBytes)) || !this.#areGood(batch)) return;
      slot.batch = batch;
      slot.digest = digest;
      // The primary's, by its proposal, and this one's.
      slot.prepares += 2;
      this.#say(prepare, sequence, digest);
    } else if (kind === prepare) slot.prepares += 1;
    else slot.commits += 1;
    this.#advance(sequence, slot);
  }

  #advance(sequence, slot) {
    if (slot.batch !== undefined && !slot.isPrepared && slot.prepares >= quorum) {
      slot.isPrepared = true;
      this.#toWrite.push({ sequence, slot });
      this.#write();
    }
    for (let next = this.#slots.get(this.#executed + 1); next?.isDurable && next.commits >= quorum;) {
      this.#executed += 1;
      this.#slots.delete(this.#executed);
      this.#execute(next.batch);
      if (this.#self === 0) {
        this.#inFlight -= 1;
        this.#proposeSoon();
      }
      next = this.#slots.get(this.#executed + 1);
    }
  }

  /** One write and flush at a time, of all that is prepared by then. */
  #write() {
    if (this.#writing || this.#toWrite.length === 0) return;
    this.#writing = true;
    const taken = this.#toWrite;
    this.#toWrite = [];
    this.#log.append(Buffer.concat(taken.map(({ slot }) => slot.batch)), () => {
      this.#writing = false;
      this.#write();
      for (const { sequence, slot } of taken) {
        slot.isDurable = true;
        slot.commits += 1;
        this.#say(commit, sequence, slot.digest);
        this.#advance(sequence, slot);
      }
      this.#flush();
    });
  }

  #execute(batch) {
    const count = batch.length / (authenticated - lengthBytes);
    const ids = Buffer.allocUnsafe(count * 4);
    for (let at = 0; at < count; at += 1) {
      const from = at * (authenticated - lengthBytes);
      ids.writeUInt32LE(batch.readUInt32LE(from), at * 4);
      const key = batch.latin1Slice(from + 4, from + 4 + keyBytes);
      this.#store.set(key, batch.subarray(from + 4 + keyBytes, from + requestBytes - lengthBytes));
    }
    for (const socket of this.#clients) writeUnderMac(socket, this.#keys[client], [ids]);
  }

  #areGood(batch) {
    const key = this.#keys[client];
    for (let from = 0; from < batch.length; from += authenticated - lengthBytes) {
      const macs = from + requestBytes - lengthBytes;
      const own = batch.subarray(macs + this.#self * macBytes, macs + (this.#self + 1) * macBytes);
      if (!timingSafeEqual(macOf(key, batch.subarray(from, macs)), own)) return false;
    }
    return true;
  }

  #slotAt(sequence) {
    let slot = this.#slots.get(sequence);
    if (slot === undefined) {
      slot = { batch: undefined, digest: undefined, prepares: 0, commits: 0, isPrepared: false, isDurable: false };
      // A vote that comes behind the execution is nobody's.
      if (sequence > this.#executed) this.#slots.set(sequence, slot);
    }
    return slot;
  }

  #say(kind, sequence, digest, body = Buffer.alloc(0)) {
    const message = Buffer.allocUnsafe(lengthBytes + headBytes + body.length);
    message.writeUInt32LE(headBytes + body.length, 0);
    message[4] = kind;
    message.writeUInt32LE(sequence, 5);
    digest.copy(message, 9);
    body.copy(message, lengthBytes + headBytes);
    for (let to = 0; to < bftReplicas; to += 1) if (to !== this.#self) this.#outgoing[to].push(message);
  }

  #flush() {
    for (const [to, messages] of this.#outgoing.entries()) {
      if (messages.length === 0) continue;
      this.#outgoing[to] = [];
      writeUnderMac(this.#links[to], this.#keys[to], messages);
    }
  }
}

/** The first byte of a connection says whose it is. */
function serve(replica) {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("readable", () => {
      const [from] = socket.read(1);
      if (from === client) replica.attachClient(socket);
      else replica.attach(from, socket);
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));
}

/** `others`: the ports of those that came up before this one. */
async function start({ path, self, others }) {
  const log = new RawLog(path);
  const replica = new Replica(self, log);
  for (const [other, port] of others.entries()) {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    socket.write(Uint8Array.of(self));
    replica.attach(other, socket);
  }
  process.on("message", ({ ask }) => {
    if (ask === "syncs") return process.send({ syncs: log.syncs, entries: replica.entries });
    log.close();
    process.exit(0);
  });
  process.on("disconnect", () => process.exit(0));
  process.send({ port: await serve(replica) });
}

/** As targets of `load.mjs` are. An id is used again only when all replicas have answered: a late answer must count for nothing else. */
export async function openRawBft({ endpoints, connections }) {
  const keys = endpoints.map((_, replica) => keyBetween(client, replica));
  const lanes = [];
  for (let at = 0; at < connections; at += 1) {
    const waiting = new Map();
    const onAnswers = (replica) =>
      lengthFrames((frame) => {
        if (!isUnderMac(keys[replica], frame)) return;
        for (let from = macBytes; from < frame.length; from += 4) {
          const id = frame.readUInt32LE(from);
          const asked = waiting.get(id);
          if (asked === undefined) continue;
          asked.answers += 1;
          if (asked.answers === faults + 1) asked.done(undefined);
          if (asked.answers === endpoints.length) waiting.delete(id);
        }
      });
    const sockets = [];
    for (const [replica, endpoint] of endpoints.entries()) {
      const [host, port] = endpoint.split(":");
      const socket = connect({ host, port: Number(port), noDelay: true });
      await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
      socket.write(Uint8Array.of(client));
      socket.on("data", onAnswers(replica));
      sockets.push(socket);
    }
    lanes.push({ sockets, waiting, gathered: [] });
  }
  let isScheduled = false;
  const flush = () => {
    isScheduled = false;
    for (const lane of lanes) {
      if (lane.gathered.length > 0) lane.sockets[0].write(Buffer.concat(lane.gathered));
      lane.gathered = [];
    }
  };
  return {
    begin(number, done) {
      const lane = lanes[number % lanes.length];
      const id = number >>> 0;
      lane.waiting.set(id, { done, answers: 0 });
      const bytes = Buffer.allocUnsafe(authenticated);
      bytes.writeUInt32LE(authenticated - lengthBytes, 0);
      bytes.writeUInt32LE(id, lengthBytes);
      bytes.write(keyFor(number, usualShape.keys), lengthBytes + 4, "latin1");
      bytes.write(value, lengthBytes + 4 + keyBytes, "latin1");
      const signed = bytes.subarray(lengthBytes, requestBytes);
      for (const [replica, key] of keys.entries()) macOf(key, signed).copy(bytes, requestBytes + replica * macBytes);
      lane.gathered.push(bytes);
      if (isScheduled) return;
      isScheduled = true;
      setImmediate(flush);
    },
    close() {
      for (const { sockets } of lanes) for (const socket of sockets) socket.destroy();
      return Promise.resolve();
    },
  };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.once("message", (order) => void start(order));
}
