/**
 * What an administrator does where replicas may lie: signs who the members are after an epoch, and starts, exchanges and stops replicas for it.
 *
 * Owns: when a host is given an empty disk, or stopped; asking again until the epoch is over; and that in no epoch more members lie than may.
 * Leaves to others: which change comes when (`plan-members.ts`). Called by `nemesis.ts`.
 */
import { signedBytesOfChange } from "../authentication/domain.js";
import { invariant } from "../base/invariant.js";
import type { BftState } from "../consensus/bft/state.js";
import type { ReplicaId } from "../model/ids.js";
import {
  anyIncarnation,
  byzantineMembersMin,
  foundingIncarnation,
  liarsMaxOf,
  type Member,
} from "../model/membership.js";
import { keyNameOf } from "../wire/key-name.js";
import { encodeReconfiguration, encodeReconfigurationBody, successorOf } from "../wire/successor-codec.js";
import type { ByzantineSide } from "./byzantine.js";
import type { Draw } from "./draw.js";
import type { Markers } from "./markers.js";
import type { Scheduler } from "./scheduler.js";
import type { SimReplica } from "./sim-replica.js";
import type { Trace } from "./trace.js";

export interface AdministratorParts {
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly markers: Markers;
  readonly draw: Draw;
  readonly clusterId: string;
  readonly byzantine: ByzantineSide;
  readonly replicas: readonly SimReplica[];
  /** What breaks in it ends the run. */
  readonly attempt: (run: () => void) => void;
}

/** Of members, the name of each one's key. */
type Keys = ReadonlyMap<ReplicaId, string>;

/** The newest epoch. */
interface Epoch {
  readonly number: number;
  readonly keys: Keys;
}

interface Change {
  readonly text: string;
  readonly leaving: readonly ReplicaId[];
  /** By their ids, the keys of those who come. */
  readonly coming: Keys;
  /** Called when it is asked for; what it answers takes that back if another change comes first. */
  readonly begin?: (() => () => void) | undefined;
  /** Its epoch has begun. */
  readonly end: () => void;
}

interface Asked {
  readonly change: Change;
  readonly before: Epoch;
  readonly after: Keys;
  readonly signed: Uint8Array;
  readonly undo: (() => void) | undefined;
  /** When somebody else is asked. */
  readonly askAt: number;
  /** The next epoch had begun when it was looked for last. */
  readonly isSeen: boolean;
}

const lookMs = 250;
/** Whoever was asked has perhaps gone, or lies. */
const askMs = 3_000;

export class Administrator {
  readonly #parts: AdministratorParts;
  /** Names of keys whose directories are of the founding. */
  readonly #founding: Set<string>;
  /** The name of the key with which each has its directory, or would have. */
  readonly #keys: Map<ReplicaId, string>;
  /** All names, by the keys as members know them. */
  readonly #names = new Map<string, string>();
  /** Who comes or leaves by a change that is under way. */
  readonly #busy = new Set<ReplicaId>();
  #made = 0;

  constructor(parts: AdministratorParts) {
    this.#parts = parts;
    const ids = parts.replicas.map(({ id }) => id);
    this.#founding = new Set(parts.byzantine.founders.map(({ id }) => id));
    this.#keys = new Map(ids.map((id) => [id, id]));
    for (const id of ids) this.#name(id);
  }

  /** As the newest epoch has them. */
  get members(): readonly ReplicaId[] {
    return [...this.#newest().keys.keys()];
  }

  /** One that is no member. It has an empty disk and a key of its own, or is what it was when it was removed. */
  add(draw: Draw): boolean {
    const before = this.#newest();
    const joining = this.#choose(draw, (id) => !before.keys.has(id));
    if (joining === undefined) return false;
    const { id } = joining;
    const isKept = joining.process !== undefined && (this.#isLiar(id) || draw.chance(0.5));
    const key = isKept ? this.#keyOf(id) : this.#nextKey(id);
    const joins = isKept ? { end: () => {} } : this.#joins(draw, before, joining, key);
    return this.#ask(before, { text: `add ${id}`, leaving: [], coming: new Map([[id, key]]), ...joins });
  }

  /** Where there are no more than there must be another one takes its place. */
  remove(draw: Draw): boolean {
    const before = this.#newest();
    const leaving = this.#choose(draw, (id) => before.keys.has(id));
    if (leaving === undefined) return false;
    const { id } = leaving;
    const isStopped = !this.#isLiar(id) && draw.chance(0.5);
    const leave = (): void => {
      if (isStopped) leaving.leave();
    };
    if (before.keys.size > byzantineMembersMin)
      return this.#ask(before, { text: `remove ${id}`, leaving: [id], coming: new Map(), end: leave });
    const other = this.#choose(draw, (each) => !before.keys.has(each) && !this.#isLiar(each));
    if (other === undefined) return false;
    const key = this.#nextKey(other.id);
    const { begin, end } = this.#joins(draw, before, other, key);
    const ends = (): void => {
      end();
      leave();
    };
    const text = `add ${other.id} in the place of ${id}`;
    return this.#ask(before, { text, leaving: [id], coming: new Map([[other.id, key]]), begin, end: ends });
  }

  /** Its host gets an empty disk and another key. Nobody counts on the old disk once the epoch is over. */
  replace(draw: Draw): boolean {
    const before = this.#newest();
    const replaced = this.#choose(draw, (id) => before.keys.has(id) && !this.#isLiar(id));
    if (replaced === undefined) return false;
    const { id } = replaced;
    const key = this.#nextKey(id);
    const end = (): void => this.#join(before, replaced, key);
    return this.#ask(before, { text: `replace ${id}`, leaving: [id], coming: new Map([[id, key]]), end });
  }

  /** It is started with the next key beside its own; later starts have both, or that one alone. */
  rotate(draw: Draw): boolean {
    const { byzantine, markers, scheduler } = this.#parts;
    const before = this.#newest();
    const rotated = this.#choose(draw, (id) => before.keys.has(id) && !this.#isLiar(id));
    if (rotated === undefined) return false;
    const { id } = rotated;
    const [key, nextKey] = [this.#keyOf(id), this.#nextKey(id)];
    const { keys } = byzantine.knownOf(id);
    if (this.#founding.has(key)) this.#founding.add(nextKey);
    const isKept = draw.chance(0.5);
    // It may be away while its key changes.
    const awayMs = draw.chance(0.7) ? 0 : draw.spread(5, 5_000);
    const begin = (): (() => void) => {
      byzantine.know(id, { key, nextKey, keys });
      rotated.kill();
      scheduler.after(awayMs, () => rotated.start());
      return () => byzantine.know(id, { key, keys });
    };
    const end = (): void => {
      markers.reach("a key was exchanged");
      this.#keys.set(id, nextKey);
      byzantine.know(id, isKept ? { key, nextKey, keys } : { key: nextKey, keys });
    };
    const text = `exchange the key of ${id}`;
    return this.#ask(before, { text, leaving: [id], coming: new Map([[id, nextKey]]), begin, end });
  }

  /** As a correct replica knows it. */
  #newest(): Epoch {
    const [first, ...others] = this.#states();
    const newest = others.reduce((one, other) => (one === undefined || other.epoch > one.epoch ? other : one), first);
    if (newest === undefined)
      return { number: 0, keys: new Map(this.#parts.byzantine.founders.map(({ id }) => [id, id])) };
    const { epoch, replicas, keys } = newest;
    return { number: epoch, keys: new Map(replicas.map((id) => [id, this.#names.get(keys.get(id) ?? "") ?? id])) };
  }

  #states(): readonly BftState[] {
    return this.#parts.replicas.flatMap(({ id, bft }) => (bft === undefined || this.#isLiar(id) ? [] : [bft]));
  }

  #isLiar(id: ReplicaId): boolean {
    return this.#parts.byzantine.isFaulty(id);
  }

  #choose(draw: Draw, isWanted: (id: ReplicaId) => boolean): SimReplica | undefined {
    const wanted = this.#parts.replicas.filter(({ id }) => isWanted(id) && !this.#busy.has(id));
    return wanted.length === 0 ? undefined : draw.pick(wanted);
  }

  #keyOf(id: ReplicaId): string {
    return this.#keys.get(id) ?? id;
  }

  #name(key: string): string {
    this.#names.set(keyNameOf(this.#parts.byzantine.publicKey(key)), key);
    return key;
  }

  /** Each is used once, as every directory has one of its own. A liar keeps its first. */
  #nextKey(id: ReplicaId): string {
    if (this.#isLiar(id)) return id;
    this.#made += 1;
    return this.#name(`${id}/${this.#made}`);
  }

  /** Before the change is asked for, or when it has come: the order of the two does not matter. */
  #joins(draw: Draw, before: Epoch, joining: SimReplica, key: string): Pick<Change, "begin" | "end"> {
    const join = (): void => this.#join(before, joining, key);
    if (draw.chance(0.5)) return { end: join };
    const begin = (): (() => void) => {
      join();
      return () => joining.leave();
    };
    return { begin, end: () => {} };
  }

  /** It is told who the members were before it, with their keys; if it takes another's place under its id, with the other's. */
  #join({ keys }: Epoch, replica: SimReplica, key: string): void {
    const { id } = replica;
    const known = new Map([[id, key], ...keys]);
    this.#keys.set(id, key);
    this.#parts.byzantine.know(id, { key, keys: known });
    replica.join([...known.keys()].sort().map((each) => this.#memberOf(each, known.get(each) ?? each)));
  }

  #memberOf(id: ReplicaId, key: string): Member {
    const incarnation = this.#founding.has(key) ? foundingIncarnation : anyIncarnation;
    return { id, role: "voter", incarnation, peer: `${id}:1`, client: `${id}:2` };
  }

  /** False if more would lie than may. */
  #ask(before: Epoch, change: Change): boolean {
    const { text, leaving, coming } = change;
    const after = new Map([...[...before.keys].filter(([id]) => !leaving.includes(id)), ...coming]);
    const liars = [...after.keys()].filter((id) => this.#isLiar(id));
    if (liars.length > liarsMaxOf(after.size)) return false;
    for (const id of [...leaving, ...coming.keys()]) this.#busy.add(id);
    this.#parts.trace.add("administrator", `wants to ${text} after epoch ${before.number}`);
    const undo = change.begin?.();
    this.#see({ change, before, after, signed: this.#sign(before, after), undo, askAt: 0, isSeen: false });
    return true;
  }

  #sign({ number }: Epoch, after: Keys): Uint8Array {
    const { byzantine, clusterId } = this.#parts;
    const members = [...after.keys()].sort().map((id) => {
      const key = after.get(id) ?? id;
      return { ...this.#memberOf(id, key), key: byzantine.publicKey(key) };
    });
    const successor = successorOf({ members });
    invariant(successor !== undefined, "an epoch can have these members");
    const body = encodeReconfigurationBody({ epoch: number, successor });
    return encodeReconfiguration(byzantine.administrator.sign(signedBytesOfChange(clusterId, body)), body);
  }

  /** Until the epoch is over, however often those who were asked have gone meanwhile. */
  #see(asked: Asked): void {
    const { scheduler, attempt } = this.#parts;
    const next = this.#beginningAfter(asked);
    if (next !== undefined && asked.isSeen) return this.#conclude(asked, next);
    const isDue = next === undefined && scheduler.now >= asked.askAt;
    if (isDue) this.#tell(asked);
    const askAt = isDue ? scheduler.now + askMs : asked.askAt;
    scheduler.after(lookMs, () => attempt(() => this.#see({ ...asked, askAt, isSeen: next !== undefined })));
  }

  #tell({ change: { text }, before, signed }: Asked): void {
    const { replicas, draw, trace } = this.#parts;
    const asked = draw.pick(replicas);
    asked.instruct({ kind: "reconfigure", signed }, (outcome) => {
      trace.add("administrator", `asked ${asked.id} to ${text} after epoch ${before.number}: ${outcome}`);
    });
  }

  /** Who the members are then, by their keys' names, once more correct replicas that stay are there than may lie. */
  #beginningAfter({ before, change: { leaving } }: Asked): Keys | undefined {
    const states = this.#states();
    const there = states.filter(({ self, epoch }) => epoch > before.number && !leaving.includes(self));
    if (there.length <= liarsMaxOf(before.keys.size)) return undefined;
    const begun = states.flatMap(({ handovers }) => handovers).find(({ epoch }) => epoch === before.number + 1);
    const members = begun?.certificate.ending?.successor.members;
    return members && new Map(members.map(({ id, key }) => [id, this.#names.get(key) ?? ""]));
  }

  #conclude({ change, before, after, undo }: Asked, keys: Keys): void {
    const { trace, markers } = this.#parts;
    const { text, leaving, coming } = change;
    for (const id of [...leaving, ...coming.keys()]) this.#busy.delete(id);
    const isItself = keys.size === after.size && [...after].every(([id, key]) => keys.get(id) === key);
    trace.add("administrator", `sees epoch ${before.number + 1}: ${[...keys.keys()].join(" ")}`);
    if (!isItself) {
      trace.add("administrator", `does not ${text}: another change came first`);
      return undo?.();
    }
    markers.reach("members have changed");
    change.end();
    for (const replica of this.#parts.replicas) if (coming.has(replica.id)) this.#update(replica);
  }

  /** A version may have started meanwhile that it does not have: those who are no members yet are not waited for. */
  #update(replica: SimReplica): void {
    const { replicas, trace } = this.#parts;
    const newest = replicas
      .map(({ machine }) => machine)
      .reduce((one, other) => (other.version > one.version ? other : one));
    if (replica.machine.version >= newest.version) return;
    trace.add("administrator", `gives ${replica.id} version ${newest.version}`);
    replica.machine = newest;
    replica.kill();
    replica.start();
  }
}
