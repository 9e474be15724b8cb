/**
 * Somebody who follows the events of one name with a simulated client, as a program does: page by page, and on from where he was when his
 * process has ended and begun again.
 *
 * Owns: when the next page is asked for, and from where on after a restart. Leaves to others: judging (`checkers/event-judge.ts`), retries and the
 * choice of a replica (`client/`). Owned by `sim-client.ts`.
 */
import { EventCursor, startBehind } from "../client/event-cursor.js";
import type { NetworkedClient } from "../client/networked-client.js";
import type { QueryAnswer } from "../client/outcome.js";
import type { ReadLevel } from "../model/request.js";
import { eventsOfOutcome } from "../wire/events-codec.js";
import type { EventJudge } from "./checkers/event-judge.js";
import { RuleBroken } from "./checkers/violation.js";
import type { Draw } from "./draw.js";
import type { Markers } from "./markers.js";
import type { SimProcess } from "./process.js";
import type { Trace } from "./trace.js";

export interface SimFollowerParts {
  readonly who: string;
  readonly name: string;
  readonly judge: EventJudge;
  readonly draw: Draw;
  readonly markers: Markers;
  readonly trace: Trace;
}

const nothing = new Uint8Array(0);
const read: ReadLevel = { kind: "linearizable" };

export class SimFollower {
  readonly #parts: SimFollowerParts;
  #cursor = new EventCursor(undefined);
  #starts = 0;
  /** Of the last event or page; what a program would have written down. */
  #known: number | undefined;

  constructor(parts: SimFollowerParts) {
    this.#parts = parts;
  }

  /** Everything in entries below this was told. */
  get followedTo(): number {
    return this.#cursor.from?.index ?? 0;
  }

  /** `isBelieving`: what it is told is a measure. */
  start(process: SimProcess, client: NetworkedClient, isBelieving: () => boolean): void {
    const { draw, markers, judge, who } = this.#parts;
    judge.begin(who);
    this.#starts += 1;
    if (this.#starts > 1 && this.#known !== undefined) {
      markers.reach("a follower went on after its process had ended");
      // Mostly from where it was; sometimes from an earlier note.
      if (draw.chance(0.3)) this.#cursor = new EventCursor(startBehind(draw.between(0, this.#known)));
    }
    this.#ask(process, client, isBelieving);
  }

  #ask(process: SimProcess, client: NetworkedClient, isBelieving: () => boolean): void {
    const { name, draw } = this.#parts;
    const { from } = this.#cursor;
    const events = { from, countMax: draw.between(1, 8), waitMs: draw.pick([20, 200, 1_000]) };
    const completion = {
      settle: (answer: QueryAnswer) => {
        this.#onAnswer(answer, isBelieving());
        process.post(draw.pick([0, 1, 50]), () => this.#ask(process, client, isBelieving));
      },
    };
    client.input((core, now) =>
      core.query({ name, input: nothing, read, events, deadline: now + 30_000, completion }, now),
    );
  }

  #onAnswer(answer: QueryAnswer, isBelieved: boolean): void {
    const { name, who, judge, markers, trace } = this.#parts;
    // He asks again; a replica that answers nobody for so long is V14's.
    if (answer.status === "refused") return;
    const found = eventsOfOutcome(answer.outcome);
    const { from } = this.#cursor;
    if (!isBelieved) judge.begin(who);
    else if (found === undefined) throw new RuleBroken("V21", `${who} asked for ${name}, and the answer is none`);
    else judge.onTold({ who, name, from, answer: found });
    // As any other client that hears nothing of use: he asks again.
    if (found === undefined) return;
    this.#cursor.accept(found);
    this.#known = this.#cursor.from?.index;
    if (found.kind === "compacted") markers.reach("a follower was told that events are no longer kept");
    else if (found.events.length > 0) markers.reach("a follower was told of events");
    trace.addOften(who, this.followedTo, () => {
      return found.kind === "compacted"
        ? `cannot follow ${name} from there`
        : `is told of ${found.events.length} ${name}`;
    });
  }
}
