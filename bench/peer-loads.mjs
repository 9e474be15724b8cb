/**
 * Drives the other systems from the same load process as the product: each opener speaks as much of a protocol as one write needs, so
 * that what is measured is the servers and not a client library.
 *
 * Owns: the bytes on the wire. All of them set; etcd also gets, of as many keys as the job says. Leaves to others: when an operation begins (`load.mjs`). An operation is the product's: a key of 16 bytes, a
 * value of 128. Replies come in the order of the requests (ZooKeeper, Redis) or carry their number (etcd's streams, NATS' inboxes).
 */
import { connect as connectHttp2 } from "node:http2";
import { connect as connectSocket } from "node:net";
import { keyCount, keyFor as keyAmong, keyOf, value } from "./shape.mjs";

const keyFor = (number) => keyAmong(number, keyCount);

async function openSocket(endpoint) {
  const [host, port] = endpoint.split(":");
  const socket = connectSocket({ host, port: Number(port), noDelay: true });
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  socket.on("error", (cause) => {
    throw cause;
  });
  return socket;
}

/** What is written in one turn of the loop leaves in one call. */
function gathering(socket) {
  let waiting = [];
  return (bytes) => {
    if (waiting.length === 0) {
      setImmediate(() => {
        socket.write(Buffer.concat(waiting));
        waiting = [];
      });
    }
    waiting.push(bytes);
  };
}

/** `connections` of them, spread over the endpoints; operation n goes to the n-th, round and round. */
async function openEach({ endpoints, connections }, open) {
  const opened = [];
  for (let at = 0; at < connections; at += 1) opened.push(await open(endpoints[at % endpoints.length], at));
  return {
    begin: (number, done) => opened[number % opened.length].begin(number, done),
    close: async () => {
      for (const each of opened) await each.close();
    },
  };
}

const lengthDelimited = (field, bytes) => {
  if (bytes.length < 128) return Buffer.concat([Buffer.from([(field << 3) | 2, bytes.length]), bytes]);
  const length = Buffer.from([(bytes.length & 0x7f) | 0x80, bytes.length >> 7]);
  return Buffer.concat([Buffer.from([(field << 3) | 2]), length, bytes]);
};

/**
 * One unary call of etcd's gRPC service, behind the five bytes of its frame: `PutRequest { key = 1, value = 2 }` or `RangeRequest { key = 1 }`, which
 * is linearizable unless it says otherwise.
 */
function openEtcd(endpoint, { keys, operation }) {
  const session = connectHttp2(`http://${endpoint}`, { settings: { initialWindowSize: 1 << 20 } });
  // Of a member that is killed; what was under way there is told as failed.
  session.on("error", () => undefined);
  const headers = {
    ":method": "POST",
    ":path": `/etcdserverpb.KV/${operation === "get" ? "Range" : "Put"}`,
    "content-type": "application/grpc",
    te: "trailers",
  };
  const valueField = operation === "get" ? Buffer.alloc(0) : lengthDelimited(2, Buffer.from(value));
  return {
    begin(number, done) {
      const message = Buffer.concat([lengthDelimited(1, Buffer.from(keyAmong(number, keys))), valueField]);
      const frame = Buffer.alloc(5 + message.length);
      frame.writeUInt32BE(message.length, 1);
      message.copy(frame, 5);
      const stream = session.request(headers);
      let status;
      stream.on("trailers", (trailers) => (status = trailers["grpc-status"]));
      let bytes = 0;
      stream.on("data", (chunk) => (bytes += chunk.length));
      stream.on("error", (cause) => (status ??= cause.code));
      stream.once("close", () => {
        if (status !== "0") done({ code: `grpc ${status}` });
        // An empty answer to a read would be a cheap one.
        else done(operation === "get" && bytes < value.length ? { code: "not found" } : undefined);
      });
      stream.end(frame);
    },
    close: () => session.destroy(),
  };
}

const packed = (...parts) => {
  const bytes = Buffer.concat(
    parts.map((part) => {
      if (typeof part === "bigint") {
        const long = Buffer.alloc(8);
        long.writeBigInt64BE(part);
        return long;
      }
      if (typeof part === "number") {
        const int = Buffer.alloc(4);
        int.writeInt32BE(part);
        return int;
      }
      const content = Buffer.from(part);
      const length = Buffer.alloc(4);
      length.writeInt32BE(content.length);
      return Buffer.concat([length, content]);
    }),
  );
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};

/** Calls back with each frame behind a length of four bytes. */
function framesOf(socket, take) {
  let rest = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    let data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (data.length >= 4 && data.length >= 4 + data.readInt32BE(0)) {
      const end = 4 + data.readInt32BE(0);
      take(data.subarray(4, end));
      data = data.subarray(end);
    }
    rest = data;
  });
}

/** Nodes are made once; an operation sets the data of one. */
const nodeCount = 1_000;
const nodeOf = (number) => `/${keyOf(number % nodeCount).slice(1)}`;
const operations = { create: 1, setData: 5, ping: 11 };
const nodeExists = -110;

async function openZooKeeper(endpoint, at) {
  const socket = await openSocket(endpoint);
  const send = gathering(socket);
  const waiting = new Map();
  let welcome;
  const welcomed = new Promise((resolve) => (welcome = resolve));
  let isWelcome = false;
  framesOf(socket, (frame) => {
    if (!isWelcome) {
      isWelcome = true;
      return welcome();
    }
    const xid = frame.readInt32BE(0);
    waiting.get(xid)?.(frame.readInt32BE(12));
    waiting.delete(xid);
  });
  send(packed(0, 0n, 30_000, 0n, Buffer.alloc(16)));
  await welcomed;
  let next = 0;
  const call = (operation, parts, done) => {
    const xid = (next += 1);
    waiting.set(xid, done);
    send(packed(xid, operation, ...parts));
  };
  const alive = setInterval(() => send(packed(-2, operations.ping)), 5_000);
  if (at === 0) {
    const create = (number) =>
      new Promise((resolve, reject) => {
        call(operations.create, [nodeOf(number), value, 1, 31, "world", "anyone", 0], (code) =>
          code === 0 || code === nodeExists ? resolve() : reject(new Error(`ZooKeeper answers ${code} to a create`)),
        );
      });
    await Promise.all(Array.from({ length: nodeCount }, (_, number) => create(number)));
  }
  return {
    begin(number, done) {
      call(operations.setData, [nodeOf(number), value, -1], (code) =>
        done(code === 0 ? undefined : { code: `ZooKeeper ${code}` }),
      );
    },
    close() {
      clearInterval(alive);
      socket.destroy();
    },
  };
}

const natsTimeoutMs = 2_000;
const headOf = /MSG (\S+) +\S+ +(\d+)\r\n/y;

/** Calls back with each message, and answers the server when it asks whether somebody is there. */
function natsMessages(socket, send, take) {
  let rest = "";
  socket.on("data", (chunk) => {
    rest += chunk.toString("latin1");
    let from = 0;
    for (;;) {
      headOf.lastIndex = from;
      const head = headOf.exec(rest);
      if (head === null) {
        const lineEnd = rest.indexOf("\r\n", from);
        if (lineEnd < 0 || rest.startsWith("MSG", from)) break;
        if (rest.startsWith("-ERR", from)) throw new Error(rest.slice(from, lineEnd));
        if (rest.startsWith("PING", from)) send(Buffer.from("PONG\r\n"));
        from = lineEnd + 2;
        continue;
      }
      const end = headOf.lastIndex + Number(head[2]) + 2;
      if (rest.length < end) break;
      take(head[1], rest.slice(headOf.lastIndex, end - 2));
      from = end;
    }
    rest = rest.slice(from);
  });
}

/** A publish to a stream of three replicas is acknowledged in the inbox that it names. */
async function openNats(endpoint, at) {
  const socket = await openSocket(endpoint);
  const send = gathering(socket);
  const waiting = new Map();
  // An acknowledgement may get lost: whoever waits is told so after a while.
  const begun = [];
  const overdue = setInterval(() => {
    while (begun.length > 0 && begun[0].at + natsTimeoutMs < performance.now()) {
      const { reply } = begun.shift();
      waiting.get(reply)?.('"error": "no acknowledgement"');
      waiting.delete(reply);
    }
  }, 100);
  const inbox = `_INBOX.${process.pid}-${at}`;
  natsMessages(socket, send, (subject, content) => {
    waiting.get(subject)?.(content);
    waiting.delete(subject);
  });
  send(Buffer.from(`CONNECT {"verbose":false,"pedantic":false,"lang":"node","version":"0"}\r\nSUB ${inbox}.* 1\r\n`));
  let next = 0;
  const publish = (subject, payload, done) => {
    const reply = `${inbox}.${(next += 1)}`;
    waiting.set(reply, done);
    begun.push({ reply, at: performance.now() });
    send(Buffer.from(`PUB ${subject} ${reply} ${payload.length}\r\n${payload}\r\n`, "latin1"));
  };
  const stream = JSON.stringify({
    ...{ name: "BENCH", subjects: ["bench.>"], storage: "file", num_replicas: 3, retention: "limits" },
    ...{ discard: "old", max_bytes: 1 << 30 },
  });
  const untilAnswered = async (subject, payload) => {
    for (let isAnswered = false; !isAnswered;) {
      isAnswered = await new Promise((resolve) => {
        publish(subject, payload, (answer) => resolve(!answer.includes('"error"')));
      });
    }
  };
  // Nobody answers before the group has elected whom it asks, and nobody else's answer comes before that server knows of this inbox.
  if (at === 0) await untilAnswered("$JS.API.STREAM.CREATE.BENCH", stream);
  await untilAnswered("bench.ready", "");
  return {
    begin(number, done) {
      publish("bench.set", keyFor(number) + value, (answer) =>
        done(answer.includes('"error"') ? { code: "nats" } : undefined),
      );
    },
    close() {
      clearInterval(overdue);
      socket.destroy();
    },
  };
}

async function openRedis(endpoint) {
  const socket = await openSocket(endpoint);
  const send = gathering(socket);
  const waiting = [];
  let first = 0;
  let rest = "";
  socket.on("data", (chunk) => {
    rest += chunk.toString("latin1");
    const lines = rest.split("\r\n");
    rest = lines.pop();
    for (const line of lines) {
      waiting[first](line === "+OK" ? undefined : { code: line });
      first += 1;
    }
    if (first === waiting.length) {
      waiting.length = 0;
      first = 0;
    }
  });
  return {
    begin(number, done) {
      waiting.push(done);
      const key = keyFor(number);
      send(Buffer.from(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n${value}\r\n`));
    },
    close: () => socket.destroy(),
  };
}

export const peerOpeners = {
  etcd: (job) => openEach(job, (endpoint) => openEtcd(endpoint, job)),
  zookeeper: (job) => openEach(job, openZooKeeper),
  nats: (job) => openEach(job, openNats),
  redis: (job) => openEach(job, openRedis),
};
