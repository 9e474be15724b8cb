/**
 * A replica group driven by hand, for tests of the client: one order, one session table, any number of addresses.
 *
 * Owns: what clients can see of a group (leaders, refusals, replies, broken connections), with every fault under the test's control.
 * Leaves to others: consensus, which has tests of its own; here the order is a list. Every message passes through the real codec.
 */
import { defaultLimits, type ReplicatedLimits } from "../src/api/config.js";
import type { LowLevelMachine } from "../src/api/low-level.js";
import { invariant } from "../src/base/invariant.js";
import { Executor } from "../src/execution/executor.js";
import { after, noIndex, noTerm, type LogIndex, type RequestNumber, type SessionId } from "../src/model/ids.js";
import {
  keyOf,
  keyText,
  type AdmissionRefusal,
  type ClientMessage,
  type ReplicaMessage,
} from "../src/model/request.js";
import type { Reply, Request, RequestKey } from "../src/model/request.js";
import {
  clientMessageTypes,
  decodeClientMessage,
  decodeReplicaMessage,
  encodeClientMessage,
  encodeReplicaMessage,
  replicaMessageTypes,
} from "../src/wire/client-codec.js";
import { nodeHash } from "../src/node/hash.js";
import { encodeBatch, encodeRequest } from "../src/wire/request-codec.js";

/** Remembers the names of its commands; each answers the count of them in one byte. */
function createJournal(executed: string[]): LowLevelMachine {
  return {
    name: "journal",
    version: 1,
    commandNames: [],
    queryNames: [],
    admit: (_name, input) => ({ status: "admitted", input }),
    open: () => ({
      apply: ({ commands }) =>
        commands.map(({ name }) => {
          executed.push(name);
          if (name.startsWith("throw")) return { status: "failed", message: "thrown" } as const;
          return { status: "ok", output: new Uint8Array([executed.length]) } as const;
        }),
      query: (_name, input) => ({ status: "ok", output: input }),
      fork: () => ({ chunks: () => [], digest: () => new Uint8Array(32), release: () => {} }),
      install: () => {},
      digest: () => new Uint8Array(32),
      dueAt: () => undefined,
    }),
  };
}

/** What the group says to one client over one link. */
export interface FakeLink {
  readonly address: string;
  readonly receive: (message: ReplicaMessage) => void;
  readonly closed: (cause: string) => void;
}

interface Waiting {
  readonly request: Request;
  readonly link: FakeLink;
}

export class FakeGroup {
  readonly addresses: readonly string[];
  readonly executor: Executor;
  /** Agreed time of the next entry. */
  agreedTime = 1_000;
  /** Everything that was put into the order. */
  readonly log: Request[] = [];
  /** Every message that reached a replica, in order. */
  readonly received: { readonly address: string; readonly message: ClientMessage }[] = [];
  leader: string | undefined;
  /** Ordered, but neither executed nor answered until `execute` is called. */
  isHeld = false;
  /** Answers are lost on their way to clients. */
  losesReplies = false;
  /** Requests are lost on their way to the leader. */
  losesRequests = false;
  /** What a replica says instead of taking a message, if anything. */
  refuse: (address: string, message: ClientMessage) => AdmissionRefusal | undefined = () => undefined;
  readonly #down = new Set<string>();
  readonly #links = new Set<FakeLink>();
  #waiting: Waiting[] = [];
  #executed = 0;
  #index: LogIndex = noIndex;
  /** The leader's admission: the next number that closes no gap. */
  readonly #next = new Map<SessionId, number>();
  readonly #settled = new Set<string>();

  readonly #journal: string[] = [];

  constructor(addresses: readonly string[], limits: ReplicatedLimits = defaultLimits, machine?: LowLevelMachine) {
    this.addresses = addresses;
    this.executor = new Executor({
      machine: machine ?? createJournal(this.#journal),
      hash: nodeHash,
      limits,
      founders: { members: [] },
    });
    this.leader = addresses[0];
  }

  isUp(address: string): boolean {
    return this.addresses.includes(address) && !this.#down.has(address);
  }

  connect(link: FakeLink): void {
    invariant(this.isUp(link.address), "only a replica that is up is connected to");
    this.#links.add(link);
    this.#tell(link, this.#leaderMessage());
  }

  disconnect(link: FakeLink): void {
    this.#links.delete(link);
    this.#waiting = this.#waiting.filter((waiting) => waiting.link !== link);
  }

  /** Its connections break, and what waits there is forgotten; the order is not, since others have it. */
  crash(address: string): void {
    this.#down.add(address);
    if (this.leader === address) this.lead(undefined);
    this.breakLinks(address);
  }

  breakLinks(address: string): void {
    for (const link of [...this.#links]) {
      if (link.address !== address) continue;
      this.disconnect(link);
      link.closed("connection reset");
    }
  }

  restart(address: string): void {
    this.#down.delete(address);
  }

  /** Another leader begins with what was executed and what is ordered; every replica sends it again what waits. */
  lead(address: string | undefined): void {
    this.leader = address;
    this.#next.clear();
    this.#settled.clear();
    for (const link of this.#links) this.#tell(link, this.#leaderMessage());
    if (address === undefined) return;
    if (!this.isHeld) this.execute();
    for (const { request, link } of [...this.#waiting]) this.#order(request, link);
  }

  receive(link: FakeLink, sent: ClientMessage): void {
    if (!this.#links.has(link)) return;
    const message = throughCodec(sent);
    this.received.push({ address: link.address, message });
    const refusal = this.refuse(link.address, message);
    if (refusal !== undefined) return this.#refuse(link, message, refusal);
    if (message.kind === "query") return this.#query(link, message);
    if (message.kind === "events") throw new Error("its machine has no events");
    if (message.kind === "confirm" || message.kind === "follow" || message.kind === "signed")
      throw new Error("nobody votes or signs here");
    this.#waiting = this.#waiting.filter(({ request }) => !isSame(keyOf(request), keyOf(message.request)));
    this.#waiting.push({ request: message.request, link });
    if (this.leader !== undefined && !this.losesRequests) this.#order(message.request, link);
  }

  /** The leader is gone with what it ordered alone: nobody will ever execute it. */
  loseUnexecuted(): void {
    this.log.length = this.#executed;
  }

  /** Executes what is ordered, at most `count` requests, and answers. */
  execute(count = Infinity): void {
    for (let done = 0; done < count && this.#executed < this.log.length; done += 1) {
      const request = this.log[this.#executed];
      this.#executed += 1;
      if (request === undefined) return;
      this.#execute(request);
    }
  }

  /** The names of the commands that were executed, in order. */
  get executedCommands(): readonly string[] {
    return this.#journal;
  }

  commandsReceived(): readonly string[] {
    return this.received.flatMap(({ message }) =>
      message.kind === "request" && message.request.kind === "command" ? [message.request.name] : [],
    );
  }

  #execute(request: Request): void {
    const index = after(this.#index);
    this.#index = index;
    const payload = encodeBatch([encodeRequest(request)]);
    const entry = { kind: "batch", index, term: noTerm, time: this.agreedTime, payload } as const;
    for (const { key, reply } of this.executor.execute(entry)) this.#answer(key, reply, index);
  }

  #order(request: Request, link: FakeLink): void {
    const refusal = this.#admit(request);
    if (refusal === "repeated") return this.#answerStored(request);
    if (refusal !== undefined) {
      this.#waiting = this.#waiting.filter((waiting) => waiting.request !== request);
      return this.#refuse(link, { kind: "request", request }, refusal);
    }
    this.log.push(request);
    if (!this.isHeld) this.execute();
  }

  #admit(request: Request): AdmissionRefusal | "repeated" | undefined {
    if (request.kind !== "command" && request.kind !== "resolve") return undefined;
    const next = this.#next.get(request.session) ?? this.#executedNext(request.session) ?? request.number;
    if (request.kind === "command" && request.number < next) return "repeated";
    if (request.kind === "command" && request.number > next) return { code: "GAP", next: next as RequestNumber };
    if (request.kind === "resolve") this.#settled.add(`${request.session}:${request.number}`);
    let passed = request.kind === "command" ? next + 1 : next;
    while (this.#settled.has(`${request.session}:${passed}`)) passed += 1;
    this.#next.set(request.session, passed);
    return undefined;
  }

  #executedNext(session: SessionId): RequestNumber | undefined {
    const state = this.executor.sessions.state(session);
    return typeof state === "string" ? undefined : state.next;
  }

  #answerStored(request: Request): void {
    const reply =
      request.kind === "command" ? this.executor.sessions.storedReply(request.session, request.number) : undefined;
    if (reply !== undefined) this.#answer(keyOf(request), reply, this.#index);
  }

  #answer(key: RequestKey, reply: Reply, index: LogIndex): void {
    const waiting = this.#waiting.find(({ request }) => isSame(keyOf(request), key));
    if (waiting === undefined) return;
    this.#waiting = this.#waiting.filter((other) => other !== waiting);
    if (!this.losesReplies) this.#tell(waiting.link, { kind: "reply", key, index, reply });
  }

  #query(link: FakeLink, { id, name, input }: Extract<ClientMessage, { readonly kind: "query" }>): void {
    if (this.leader === undefined || this.losesReplies) return;
    const outcome = this.executor.query(name, input);
    this.#tell(link, { kind: "queryReply", id, index: this.#index, ageMs: 0, outcome });
  }

  #refuse(link: FakeLink, message: ClientMessage, refusal: AdmissionRefusal): void {
    if (message.kind === "query" || message.kind === "events")
      this.#tell(link, { kind: "queryRefused", id: message.id, refusal });
    else if (message.kind === "request")
      this.#tell(link, { kind: "requestRefused", key: keyOf(message.request), refusal });
  }

  #leaderMessage(): ReplicaMessage {
    return { kind: "leader", leader: this.leader, address: this.leader };
  }

  #tell(link: FakeLink, message: ReplicaMessage): void {
    const decoded = decodeReplicaMessage(replicaMessageTypes[message.kind], encodeReplicaMessage(message));
    invariant(decoded !== undefined, "what a replica says can be read");
    link.receive(decoded);
  }
}

function throughCodec(message: ClientMessage): ClientMessage {
  const decoded = decodeClientMessage(clientMessageTypes[message.kind], encodeClientMessage(message));
  invariant(decoded !== undefined, "what a client says can be read");
  return decoded;
}

function isSame(left: RequestKey, right: RequestKey): boolean {
  return keyText(left) === keyText(right);
}
