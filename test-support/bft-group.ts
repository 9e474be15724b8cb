/** Whole replicas that order by PBFT in one thread: the production driver, host, log, links and executor over a made network, clock and disks. */
import type { ReplicaMessage } from "../src/model/request.js";
import type { Signer } from "../src/ports/signatures.js";
import { defaultLimits, type ByzantineLimits, type Limits } from "../src/api/config.js";
import type { Door } from "../src/api/door.js";
import type { LowLevelMachine } from "../src/api/low-level.js";
import { signedBytesOfChange } from "../src/authentication/domain.js";
import { verifierDefaults } from "../src/authentication/message-verifier.js";
import { Sealer } from "../src/authentication/sealer.js";
import { encodeUtf8 } from "../src/base/bytes.js";
import { nextBetween, randomStream } from "../src/base/random.js";
import { anyIncarnation, type Member, type Membership } from "../src/model/membership.js";
import type { Clock } from "../src/ports/clock.js";
import type { Claim } from "../src/ports/signatures.js";
import { linkKeys, type LinkProofs } from "../src/transport/link-proofs.js";
import type { Network } from "../src/ports/network.js";
import { createDoor } from "../src/node/create-door.js";
import { bftLimitsOf, openBftReplica, type BftReplica } from "../src/replica/open-bft.js";
import { ReplicaSeal } from "../src/replica/replica-seal.js";
import type { SaidReport } from "../src/wire/signed-report.js";
import { SimKeys } from "../src/sim/sim-signatures.js";
import { encodeReconfiguration, encodeReconfigurationBody, successorOf } from "../src/wire/successor-codec.js";
import type { BftLimits } from "../src/wire/bft-codec.js";
import type { Liar, LiarTools } from "../src/sim/liars/liar.js";
import { rebundled } from "../src/sim/liars/on-the-wire.js";
import { tamperingNetwork } from "./bft-tampering.js";
import { directory, smallSegment, testHash } from "./log-world.js";
import { ManualClock } from "./manual-clock.js";
import { MemoryDisk } from "./memory-disk.js";
import { MemoryNetwork } from "./memory-network.js";
import { tally } from "./tally-machine.js";

const byzantineLimits: ByzantineLimits = {
  windowEntries: 16,
  checkpointEntries: 4,
  statusMs: 100,
  overdueMs: 200,
  requestMs: 1_000,
  requestMsMax: 8_000,
  watchedMax: 16,
  clockBoundMs: 1_000,
};

const domain = { cluster: "test", epoch: 0 };

export interface BftGroupOptions {
  readonly machineOf?: (id: string) => LowLevelMachine;
  /** What the first replica sends in place of what is right. */
  readonly liar?: Liar | undefined;
  /** What the first replica does not hear. */
  readonly isDeafTo?: (from: string, type: number) => boolean;
  /** What a replica reports of itself in place of what is right. */
  readonly reportOf?: (id: string, said: SaidReport) => SaidReport;
  /** How far a replica's clock is ahead, in milliseconds. */
  readonly clockAhead?: (id: string) => number;
  /** There is no administrator. */
  readonly isFixed?: boolean;
  readonly byzantine?: Partial<ByzantineLimits>;
  readonly limits?: Partial<Limits>;
}

export class BftGroup {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly ids: readonly string[];
  readonly disks = new Map<string, MemoryDisk>();
  readonly running = new Map<string, BftReplica>();
  readonly broken: string[] = [];
  readonly dropped: string[] = [];
  readonly evidence: string[] = [];
  /** What audits have found, and who was set aside: what each replica was told. */
  readonly found: string[] = [];
  readonly quarantines: string[] = [];
  /** What each has executed: index, time and payload as text. */
  readonly executed = new Map<string, string[]>();
  readonly #keys = new SimKeys();
  readonly #options: BftGroupOptions;
  readonly #lives = new Map<string, { isAlive: boolean }>();
  readonly #joined = new Map<string, readonly string[]>();
  readonly #ownKeys = new Map<string, string>();
  readonly #nextKeys = new Map<string, string>();
  #starts = 0;

  constructor(ids: readonly string[], options: BftGroupOptions = {}) {
    this.ids = ids;
    this.#options = options;
    for (const id of ids) this.disks.set(id, new MemoryDisk());
    for (const id of ids) this.start(id);
  }

  start(id: string): void {
    const { network } = this;
    const life = { isAlive: true };
    this.#lives.set(id, life);
    const clock = this.#clockOf(id, life);
    const disk = this.disks.get(id) ?? new MemoryDisk();
    const isJoining = this.#joined.has(id);
    const isFresh = !disk.exists(directory);
    const seed = (this.#starts += 1);
    const { machineOf, limits } = this.#options;
    const byzantine = { ...byzantineLimits, ...this.#options.byzantine };
    const allLimits = {
      ...defaultLimits,
      // What begins a view with a full window fits into a segment.
      storage: { ...defaultLimits.storage, segmentBytes: Math.max(smallSegment, 4_096 * byzantine.windowEntries) },
      byzantine,
      ...limits,
    };
    const opened = openBftReplica(
      machineOf?.(id) ?? tally,
      {
        ...{
          id,
          clusterId: "test",
          dataDir: directory,
          members: this.#known(id).map(memberOf),
          bootstrap: isFresh && !isJoining,
          join: isJoining,
        },
        limits: allLimits,
        ...this.#keysOf(id),
        evidence: ({ by, first }) => this.evidence.push(`${id}: ${by} ${first.statement.kind}`),
        executed: ({ index, time, payload }) => {
          const executed = this.executed.get(id) ?? [];
          executed[index] = `${time} ${Buffer.from(payload).toString("hex")}`;
          this.executed.set(id, executed);
        },
      },
      {
        clock,
        disk,
        network: this.#networkOf(id, bftLimitsOf(allLimits, this.ids.length)),
        hash: testHash,
        entropy: { bytes: (count) => new Uint8Array(count).fill(seed) },
      },
      {
        roleChanged: () => {},
        healthChanged: () => {},
        found: ({ kind, differing }) => this.found.push(`${id}: ${kind} ${differing.join(", ")}`),
        quarantineChanged: (state) => this.quarantines.push(`${id}: ${state}`),
        broken: (reason) => this.broken.push(`${id}: ${reason}`),
        dropped: (reason, detail) => this.dropped.push(`${id}: ${reason}: ${detail}`),
        peerChanged: () => {},
      },
    );
    if (opened.kind === "refused") throw new Error(opened.message);
    network.listen(`${id}:1`, (connect) => opened.core.engine.acceptPeer(connect));
    network.listen(`${id}:2`, (connect) => opened.core.acceptClient(connect));
    this.running.set(id, opened);
  }

  /** A replica that is no founder: it knows `known`, and that it is itself. Under a name that was there before it is another one, with the key `name`. */
  join(id: string, known: readonly string[] = this.ids, name = id): void {
    this.disks.set(id, new MemoryDisk());
    this.#joined.set(id, known);
    this.#ownKeys.set(id, name);
    this.start(id);
  }

  /** The administrator asks `at` for these members after those that it has; a key is that of its name, `id` or `id/number`. */
  async change(at: string, names: readonly string[]): Promise<string> {
    const { engine } = this.replica(at).core;
    const { epoch } = engine.driver.state;
    const body = this.#changeOf(epoch, names, engine.membership);
    const signature = this.signerOf("administrator").sign(signedBytesOfChange("test", body));
    let outcome: string | undefined;
    const signed = encodeReconfiguration(signature, body);
    this.replica(at).core.instruct({ kind: "reconfigure", signed }, (ended) => (outcome = ended));
    return this.until("an outcome", () => outcome);
  }

  /** Its private key becomes another when the members know it by that one. */
  giveNextKey(id: string, name: string): void {
    this.#nextKeys.set(id, name);
  }

  #changeOf(epoch: number, names: readonly string[], { members }: Membership): Uint8Array {
    const next = names.map((name): Member => {
      const [id = ""] = name.split("/");
      const before = members.find((member) => member.id === id);
      // With a key that was not given to it, it has another directory.
      const isSame = name === id || this.#nextKeys.get(id) === name;
      const isFounder = before !== undefined && !this.#joined.has(id) && isSame;
      const incarnation = isFounder ? before.incarnation : anyIncarnation;
      return { ...memberOf(id), incarnation, key: this.signerOf(name).publicKey };
    });
    const successor = successorOf({ members: next.sort((one, other) => (one.id < other.id ? -1 : 1)) });
    if (successor === undefined) throw new Error(`no epoch has the members ${names.join(" ")}`);
    return encodeReconfigurationBody({ epoch, successor });
  }

  #known(id: string): readonly string[] {
    return [...new Set([...(this.#joined.get(id) ?? this.ids), id])];
  }

  /** The process is gone at once: what is not durable is lost, its links break. */
  crash(id: string): void {
    const replica = this.replica(id);
    replica.core.stop();
    const life = this.#lives.get(id);
    if (life !== undefined) life.isAlive = false;
    this.disks.get(id)?.crash("nothing");
    for (const port of [1, 2]) this.network.unlisten(`${id}:${port}`);
    this.running.delete(id);
  }

  replica(id: string): BftReplica {
    const replica = this.running.get(id);
    if (replica === undefined) throw new Error(`${id} does not run`);
    return replica;
  }

  /** As most of those that run take it. */
  primary(): string | undefined {
    const leaders = [...this.running.values()].map(({ core }) => core.status().leader);
    return leaders.find((leader) => leaders.filter((each) => each === leader).length > leaders.length / 2);
  }

  advance(milliseconds: number): void {
    for (let count = 0; count < milliseconds; count += 1) {
      this.clock.advance(1);
      for (const disk of this.disks.values()) disk.settle();
    }
  }

  /** Promises settle between steps of test time. */
  async until<Found>(what: string, look: () => Found | undefined | false): Promise<Found> {
    for (let count = 0; count < 60_000; count += 1) {
      const found = look();
      if (found !== undefined && found !== false) return found;
      this.advance(1);
      await Promise.resolve();
    }
    throw new Error(`Waited 60 s of test time in vain for ${what}`);
  }

  door(id: string): Door {
    const { core } = this.replica(id);
    return createDoor({ name: "test", connect: (receive) => core.openLocal(receive), clock: this.clock });
  }

  /** A client's connection, over which anything can be sent. */
  connect(id: string, receive: (message: ReplicaMessage) => void): ReturnType<BftReplica["core"]["openLocal"]> {
    return this.replica(id).core.openLocal(receive);
  }

  /** A replica's key, or a client's. */
  signerOf(name: string): Signer {
    return this.#keys.signerOf(name);
  }

  async add(door: Door, name: string): Promise<string> {
    return this.#answer(door.command("add", encodeUtf8(name), undefined));
  }

  async read(door: Door, name: string): Promise<string> {
    return this.#answer(door.query("read", encodeUtf8(name), { kind: "linearizable" }));
  }

  async #answer(asked: Promise<unknown>): Promise<string> {
    let answer: string | undefined;
    void asked.then((outcome) => (answer = textOf(outcome)));
    return this.until("an answer", () => answer);
  }

  #keysOf(id: string): { readonly seal: ReplicaSeal; readonly proofs: LinkProofs } {
    const { clock } = this;
    const { reportOf } = this.#options;
    const next = this.#nextKeys.get(id);
    const seal = new ReplicaSeal({
      self: id,
      signer: this.#keys.signerOf(this.#ownKeys.get(id) ?? id),
      nextSigner: next === undefined ? undefined : this.#keys.signerOf(next),
      domain,
      keys: new Map(this.#known(id).map((each) => [each, this.#keys.signerOf(each).publicKey])),
      administrator: this.#options.isFixed === true ? undefined : this.signerOf("administrator").publicKey,
      verifier: this.#keys.verifierOn(clock),
      hash: testHash,
      clock,
      settings: verifierDefaults,
    });
    const sealReport = seal.sealReport.bind(seal);
    if (reportOf !== undefined) seal.sealReport = (said) => sealReport(reportOf(id, said));
    const seed = randomStream(this.#starts, `proofs of ${id}`);
    const entropy = { bytes: (count: number) => Uint8Array.from({ length: count }, () => nextBetween(seed, 0, 255)) };
    const isSignedBy = (claim: Claim): boolean => this.#keys.isSigned(claim);
    return { seal, proofs: linkKeys({ seal, entropy, isSignedBy }) };
  }

  /** Nothing of a process happens after its end. */
  #clockOf(id: string, life: { readonly isAlive: boolean }): Clock {
    const { clock } = this;
    const alive = (act: () => void) => (): void => {
      if (life.isAlive) act();
    };
    const ahead = this.#options.clockAhead?.(id) ?? 0;
    return {
      monotonic: () => clock.monotonic(),
      wall: () => clock.wall() + ahead,
      after: (delayMs, fire) => clock.after(delayMs, alive(fire)),
      atTurnEnd: (run) => clock.atTurnEnd(alive(run)),
      nextTurn: (run) => clock.nextTurn(alive(run)),
    };
  }

  #networkOf(id: string, limits: BftLimits): Network {
    const { liar, isDeafTo } = this.#options;
    if ((liar === undefined && isDeafTo === undefined) || id !== this.ids[0]) return this.network;
    const sealer = (): Sealer => {
      const { epoch } = this.replica(id).core.engine.driver.state;
      return new Sealer({ ...domain, epoch }, id, this.#keys.signerOf(id));
    };
    const random = randomStream(1, "liar");
    const tools = (): Omit<LiarTools, "received" | "later"> => ({
      ...{ self: id, state: this.replica(id).core.engine.driver.state, random },
      replicas: this.replica(id).core.engine.driver.state.replicas,
      ...{ now: this.clock.monotonic(), friends: [id] },
      sign: (statement) => sealer().seal(statement),
      batchOf: (requests, of) => rebundled(requests, of, limits, testHash),
    });
    return tamperingNetwork(this.network, {
      ...{ liar, isDeafTo, limits, tools },
      after: (ms, act) => void this.clock.after(ms, act),
    });
  }
}

function memberOf(id: string): Member {
  return { id, role: "voter", incarnation: 1, peer: `${id}:1`, client: `${id}:2` };
}

function textOf(outcome: unknown): string {
  const found = outcome as { status: string; output?: Uint8Array; outcome?: { output?: Uint8Array } };
  const output = found.output ?? found.outcome?.output;
  return output === undefined ? JSON.stringify(outcome) : Buffer.from(output).toString();
}
