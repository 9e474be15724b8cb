/**
 * Who lies in a run, and how: drawn from the seed, from streams of their own.
 *
 * Owns: how often, how many, and the rounds of partitions behind which twins run (Bano et al., "Twins: BFT Systems Made Robust", OPODIS 2021).
 * Leaves to others: doing it (`byzantine.ts`, `nemesis.ts`). Called by `plan.ts`.
 */
import type { FaultModel } from "../api/config.js";
import { randomStream } from "../base/random.js";
import { liarsMaxOf } from "../model/membership.js";
import { Draw } from "./draw.js";
import type { FaultKind, PlannedFault } from "./faults.js";
import { answeringLiars } from "./liars/answering.js";
import { liars } from "./liars/named.js";
import { twin } from "./lies.js";

export interface LieOptions {
  readonly seed: number;
  readonly model: FaultModel;
  readonly replicas: number;
  readonly faults: readonly FaultKind[];
}

export interface PlannedLie {
  /** The replica's place, from 0. */
  readonly at: number;
  /** Of a named liar, "mutating" or "twin". */
  readonly name: string;
}

export interface DrawnLies {
  readonly lies: readonly PlannedLie[];
  /** Partitions, if there are twins, one after the other. */
  readonly rounds: readonly PlannedFault[];
  /** By the name of what clients are told. */
  readonly falseAnswers: readonly PlannedLie[];
  readonly hostileClients: number;
}

/** Of more kinds than this each is there in some of the runs only. */
const fewKinds = 8;
const roundsMax = 500;

export function drawLies(options: LieOptions, healAtMs: number): DrawnLies {
  const { lies, rounds } = drawTwins(options, healAtMs);
  return { lies, rounds, falseAnswers: drawAnswers(options, lies), hostileClients: drawHostile(options) };
}

/** Whoever lies to replicas may lie to clients as well; or some who do nothing else. */
function drawAnswers(
  { seed, model, replicas, faults }: LieOptions,
  lies: readonly PlannedLie[],
): readonly PlannedLie[] {
  const draw = new Draw(randomStream(seed, "false answers"));
  const isDrawn = model === "byzantine" && faults.includes("falseAnswers");
  if (!isDrawn || !draw.chance(faults.length > fewKinds ? 0.4 : 1)) return [];
  const first = draw.between(0, replicas - 1);
  const room = Array.from({ length: draw.between(1, liarsMaxOf(replicas)) }, (_, count) => (first + count) % replicas);
  const places = lies.length > 0 ? lies.map(({ at }) => at) : room;
  return places.map((at) => ({ at, name: draw.pick(Object.keys(answeringLiars)) }));
}

function drawHostile({ seed, model, faults }: LieOptions): number {
  const draw = new Draw(randomStream(seed, "hostile clients"));
  const isDrawn = model === "byzantine" && faults.includes("hostileClients");
  return isDrawn && draw.chance(faults.length > fewKinds ? 0.3 : 1) ? draw.between(1, 2) : 0;
}

function drawTwins(options: LieOptions, healAtMs: number): Pick<DrawnLies, "lies" | "rounds"> {
  const { seed, model, replicas, faults } = options;
  const lies = drawLiars(options);
  const draw = new Draw(randomStream(seed, "twins"));
  const isFew = faults.length <= fewKinds;
  if (model !== "byzantine" || !faults.includes("twins") || !draw.chance(isFew ? 1 : 0.4)) return { lies, rounds: [] };
  // Where hardly anything else is asked for they take the places of some liars.
  const kept = isFew ? lies.slice(0, draw.between(0, lies.length)) : lies;
  const room = liarsMaxOf(replicas) - kept.length;
  if (room === 0) return { lies, rounds: [] };
  const first = draw.between(0, replicas - 1);
  const places = Array.from({ length: replicas }, (_, count) => (first + count) % replicas);
  const free = places.filter((place) => !kept.some(({ at }) => at === place));
  const twins = free.slice(0, draw.between(1, room)).map((at) => ({ at, name: twin }));
  return { lies: [...kept, ...twins], rounds: drawRounds(draw, healAtMs) };
}

/** In half of the runs with all faults. Often it is the first primary, which has the most to say. */
function drawLiars({ seed, model, replicas, faults }: LieOptions): readonly PlannedLie[] {
  const kinds = faults.filter((kind) => kind === "lie" || kind === "mutation");
  const draw = new Draw(randomStream(seed, "lies"));
  if (model !== "byzantine" || kinds.length === 0 || !draw.chance(faults.length > fewKinds ? 0.5 : 1)) return [];
  const first = draw.chance(0.4) ? 0 : draw.between(0, replicas - 1);
  return Array.from({ length: draw.between(1, liarsMaxOf(replicas)) }, (_, count) => ({
    at: (first + count) % replicas,
    name: draw.pick(kinds) === "mutation" ? "mutating" : draw.pick(liars).name,
  }));
}

/** Each takes the place of the one before it; now and then nobody is parted. */
function drawRounds(draw: Draw, healAtMs: number): readonly PlannedFault[] {
  const roundMs = draw.spread(200, 4_000);
  const rounds: PlannedFault[] = [];
  for (let at = 0; at < healAtMs && rounds.length < roundsMax; at += roundMs) {
    const draws = [draw.fraction(), draw.fraction(), draw.fraction(), draw.fraction()] as const;
    if (draw.chance(0.85)) rounds.push({ number: 0, kind: "twins", at, lastsMs: roundMs, draws });
  }
  return rounds;
}
