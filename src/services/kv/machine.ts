/**
 * The key-value machine: a map of keys that Redis clients reach through the RESP door, and others through typed commands.
 *
 * Owns: the declaration, joining state, commands, queries and the sweep. Written as a user would, on the public interface only.
 */
import { define, type Context, type QueryContext, type SweepContext, type ViewOf } from "../../index.js";
import {
  deleteInput,
  expireInput,
  getInput,
  incrementInput,
  keysInput,
  redisInput,
  redisReadInput,
  setInput,
} from "./inputs.js";
import type { Reply } from "./reply.js";
import { readAll, runAll, runTransaction } from "./run.js";
import type { KvState, PartsKind, Reading, Stored, Writing } from "./state.js";
import { sweep, sweepDueAt } from "./sweep.js";
import * as typed from "./typed.js";

const definition = define({
  name: "kv",
  version: 1,
  state: ({ map, sortedMap, cell }): KvState => ({
    entries: map<string, Stored>(),
    expiries: sortedMap<readonly [number, string], true>(),
    removals: map<number, number>(),
    elements: sortedMap<readonly [number, number], string>(),
    fields: sortedMap<readonly [number, string], string>(),
    members: sortedMap<readonly [number, string], number>(),
    slots: sortedMap<readonly [number, number], string>(),
    scores: sortedMap<readonly [number, string], number>(),
    ranks: sortedMap<readonly [number, number, string], true>(),
    graves: sortedMap<number, PartsKind>(),
    nextId: cell(1),
  }),
});

export const kv = definition.machine({
  commands: {
    set: definition.command(setInput, (state, input, context) => typed.set(writing(state, context), input)),
    delete: definition.command(deleteInput, (state, input, context) =>
      typed.deleteKeys(writing(state, context), input),
    ),
    increment: definition.command(incrementInput, (state, input, context) =>
      typed.increment(writing(state, context), input),
    ),
    expire: definition.command(expireInput, (state, input, context) => typed.expire(writing(state, context), input)),
    /** A reply for each command that was executed, in order; `null` for a transaction whose watched keys have changed. */
    redis: definition.command(redisInput, (state, { commands, watch }, context): readonly Reply[] | null => {
      const turn = writing(state, context);
      return watch === undefined ? runAll(turn, commands) : (runTransaction(turn, commands, watch) ?? null);
    }),
  },
  queries: {
    get: definition.query(getInput, (state, key, context) => typed.get(reading(state, context), key)),
    keys: definition.query(keysInput, (state, input, context) => typed.keys(reading(state, context), input)),
    redisRead: definition.query(redisReadInput, (state, commands, context) =>
      readAll(reading(state, context), commands),
    ),
  },
  sweep: {
    dueAt: sweepDueAt,
    run: (state, context) => sweep(writing(state, context)),
  },
});

class Turn implements Writing {
  readonly state: KvState;
  readonly now: number;
  readonly index: number;
  readonly #context: Context | SweepContext;

  constructor(state: KvState, context: Context | SweepContext) {
    this.state = state;
    this.now = context.now;
    this.index = context.index;
    this.#context = context;
  }

  random(): number {
    return this.#context.random();
  }
}

function writing(state: KvState, context: Context | SweepContext): Writing {
  return new Turn(state, context);
}

function reading(state: ViewOf<KvState>, context: QueryContext): Reading {
  return { state, now: context.now };
}
