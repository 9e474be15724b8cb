/**
 * One connection to a replica that speaks the client protocol without the client: as many sessions as one likes, without their cost here.
 */
import net from "node:net";

const built = (path) => import(new URL(`../../dist/${path}`, import.meta.url).href);
const { nodeHash } = await built("node/hash.js");
const { clientMessageTypes, decodeReplicaMessage } = await built("wire/client-codec.js");
const { FrameReader, FrameWriter } = await built("wire/frame.js");
const { encodeHandshake, noConfiguration, protocolVersion } = await built("wire/handshake.js");
const { encodeRequest } = await built("wire/request-codec.js");
const { encodeValue } = await built("wire/canonical.js");

const handshakeType = 0;

export class RawClient {
  #socket;
  #writer = new FrameWriter(nodeHash);
  #waiting = new Map();
  #isFlushDue = false;

  static async connect(address) {
    const client = new RawClient();
    await client.#open(address);
    return client;
  }

  /** Resolves with the reply, rejects with the code of a refusal. One of a key at a time. */
  ask(request) {
    this.#writer.add(clientMessageTypes.request, encodeRequest(request));
    if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      setImmediate(() => this.#flush());
    }
    return new Promise((resolve, reject) => this.#waiting.set(nameOf(request), { resolve, reject }));
  }

  async openSession(nonce) {
    return (await this.ask({ kind: "open", nonce, principal: "" })).session;
  }

  /** The command `set` under a session. */
  set(session, number, { key, value }) {
    const input = encodeValue({ key, value });
    return this.ask({ kind: "command", session, number, acknowledgedBelow: number, name: "set", input });
  }

  close() {
    this.#socket.destroy();
  }

  #open(address) {
    const [host, port] = address.split(":");
    const socket = net.connect({ host, port: Number(port), noDelay: true });
    this.#socket = socket;
    const hello = {
      ...{ kind: "hello", protocol: protocolVersion, role: "client", clusterId: "", from: "raw", to: "" },
      ...{ incarnation: 0, process: "raw", machine: "kv", machineVersion: 1, foundation: "" },
      ...{ configuration: noConfiguration, credential: new Uint8Array(0) },
    };
    this.#writer.add(handshakeType, encodeHandshake(hello));
    this.#flush();
    const reader = new FrameReader(nodeHash, { frameBytesMax: 16_777_216 });
    return new Promise((resolve, reject) => {
      socket.on("data", (bytes) => {
        const failure = reader.push(bytes, ({ type, payload }) => {
          if (type === handshakeType) resolve();
          else this.#hear(decodeReplicaMessage(type, payload));
        });
        if (failure !== undefined) socket.destroy(new Error(failure));
      });
      socket.on("error", reject);
      socket.on("close", () => {
        reject(new Error("closed"));
        for (const waiting of this.#waiting.values()) waiting.reject(new Error("closed"));
      });
    });
  }

  #flush() {
    this.#isFlushDue = false;
    if (!this.#writer.isEmpty) this.#socket.write(this.#writer.finish());
  }

  #hear(message) {
    if (message?.kind !== "reply" && message?.kind !== "requestRefused") return;
    const name = nameOf(message.key);
    const waiting = this.#waiting.get(name);
    this.#waiting.delete(name);
    if (message.kind === "reply") waiting?.resolve(message.reply);
    else waiting?.reject(new Error(message.refusal.code));
  }
}

function nameOf({ kind, nonce, session, number }) {
  return kind === "open" ? `open ${nonce}` : `${kind} ${session} ${number}`;
}
