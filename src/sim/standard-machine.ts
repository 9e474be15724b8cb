/**
 * The machine that sweeps run unless they are given another, with its workload: registers, lists and counters, whose histories a
 * search can judge without knowing the order.
 *
 * Owns: the commands and how often each is asked. Written as a user would, with every collection and everything of the context, so
 * that what they do is compared between replicas too. Leaves to others: reading its operations as histories (`histories.ts`).
 */
import { rejected } from "../api/rejected.js";
import { define, event } from "../collections/define.js";
import type { Draw } from "./draw.js";
import type { Ask, AskedRead } from "./workload.js";

/** What a timer is set with, and tells when it fires: which of the commands has set it, and for when. */
export interface Reminder {
  readonly key: string;
  readonly at: number;
  readonly by: string;
}

/** Its handler throws: the timer is spent, and nobody is told. */
export function isSpoilt({ at }: Reminder): boolean {
  return at % 5 === 0;
}

const definition = define({
  name: "registers",
  version: 1,
  state: ({ map, sortedMap, set, list, cell }) => ({
    registers: map<string, number>(),
    texts: sortedMap<string, string>(),
    counters: map<string, number>(),
    seen: set<string>(),
    drawn: list<{ uuid: string; random: number; at: string; now: number }>(),
    total: cell<bigint>(0n),
  }),
  events: {
    added: event<{ key: string; sum: number }>(),
    /** Emitted only by what fails. */
    spoilt: event<{ key: string }>(),
    reminded: event<Reminder>(),
    rang: event<Reminder & { now: number }>(),
    forgot: event<{ key: string }>(),
  },
  timers: { ring: event<Reminder>() },
});

/** Made once: to note where an error was made costs more than all else that a command does. */
const spoilt = new Error("the registers are spoilt");

export const standardMachine = definition.machine({
  commands: {
    write(state, { key, value }: { key: string; value: number }) {
      state.registers.set(key, value);
    },
    cas(state, { key, from, to }: { key: string; from: number | null; to: number }) {
      if ((state.registers.get(key) ?? null) !== from) return false;
      state.registers.set(key, to);
      return true;
    },
    append(state, { key, value }: { key: string; value: string }) {
      state.texts.set(key, (state.texts.get(key) ?? "") + value);
    },
    add(state, { key, value }: { key: string; value: number }, { emit }) {
      const sum = (state.counters.get(key) ?? 0) + value;
      state.counters.set(key, sum);
      state.total.set(state.total.get() + BigInt(value));
      emit("added", { key, sum });
      return sum;
    },
    /** Everything that the context gives. */
    draw(state, { key }: { key: string }, { uuid, random, now, index, ordinal, session }) {
      const drawn = { uuid: uuid(), random: random(), at: `${index}.${ordinal}`, now };
      if (state.drawn.length < 64) state.drawn.push(drawn);
      else state.drawn.set(index % 64, drawn);
      if (state.seen.has(key)) return rejected("seen", { key, session });
      state.seen.add(key);
      return drawn;
    },
    /** Sets a timer, or another time for it. */
    remind(_state, { key, inMs }: { key: string; inMs: number }, context) {
      const reminder: Reminder = { key, at: context.now + inMs, by: `${context.index}.${context.ordinal}` };
      context.timers.set("ring", key, reminder.at, reminder);
      context.emit("reminded", reminder);
    },
    forget(_state, { key }: { key: string }, { timers, emit }) {
      const isSet = timers.cancel("ring", key);
      if (isSet) emit("forgot", { key });
      return isSet;
    },
    /** Changes much, and then throws: all of it must be taken back. */
    spoil(state, { key }: { key: string }, context) {
      context.emit("spoilt", { key });
      context.timers.cancel("ring", key);
      state.registers.delete(key);
      state.counters.set(key, -1);
      state.total.set(-1n);
      state.texts.clear();
      throw spoilt;
    },
  },
  queries: {
    read: (state, { key }: { key: string }) => state.registers.get(key) ?? null,
    get: (state, { key }: { key: string }) => state.texts.get(key) ?? "",
    count: (state, { key }: { key: string }) => state.counters.get(key) ?? 0,
    totals: (state) => ({ total: state.total.get(), seen: state.seen.size, drawn: state.drawn.length }),
  },
  on: {
    ring(state, reminder, { emit, now }) {
      state.seen.add(reminder.by);
      emit("rang", { ...reminder, now });
      if (isSpoilt(reminder)) throw new Error(`${reminder.key} is spoilt`);
    },
  },
});

/** Writes and appends carry values that no other has, so that a search can tell them apart; keys are few, so that they meet. */
export function standardWorkload(keys: number): (draw: Draw) => Ask<typeof standardMachine> {
  return (draw) => {
    const key = (prefix: string): string => `${prefix}${draw.between(1, keys)}`;
    const unique = draw.between(1, 1_000_000_000);
    switch (draw.between(0, 15)) {
      case 0:
      case 1:
        return { command: "write", input: { key: key("r"), value: draw.chance(0.2) ? unique % 3 : unique } };
      case 2:
        return { command: "cas", input: { key: key("r"), from: draw.between(0, 2), to: unique % 3 } };
      case 3:
      case 4:
        return { query: "read", read: strong(draw), input: { key: key("r") } };
      case 5:
        return { command: "append", input: { key: key("l"), value: `${unique.toString(36)},` } };
      case 6:
        return { query: "get", read: strong(draw), input: { key: key("l") } };
      case 7:
      case 8:
        return { command: "add", input: { key: key("c"), value: draw.between(1, 9) } };
      case 9:
        return { query: "count", read: strong(draw), input: { key: key("c") } };
      case 10:
        if (draw.chance(0.5)) return { command: "add", input: { key: key("c"), value: 1 } };
        return { command: "draw", input: { key: `s${unique % 500}` } };
      case 11:
        return { query: "read", read: weak(draw), input: { key: key("r") } };
      case 12:
        return { query: "get", read: weak(draw), input: { key: key("l") } };
      case 13:
        return { query: "count", read: weak(draw), input: { key: key("c") } };
      case 14:
        if (draw.chance(0.3)) return { command: "forget", input: { key: key("t") } };
        return { command: "remind", input: { key: key("t"), inMs: draw.pick([0, unique % 100, unique % 3_000]) } };
      default:
        return draw.chance(0.5)
          ? { command: "spoil", input: { key: key("c") } }
          : { query: "totals", read: strong(draw) };
    }
  };
}

/** What sees everything: enough of these, or the search for an order has too little to go by. */
function strong(draw: Draw): AskedRead {
  return draw.pick(["linearizable", "lease"]);
}

function weak(draw: Draw): AskedRead {
  return draw.pick(["ownWrites", "local", { maxStalenessMs: draw.pick([0, 10, 100, 1_000]) }]);
}
