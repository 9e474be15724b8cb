/**
 * `$events`: the events of one name, one after the other, for `for await`.
 *
 * Owns: the loop over pages. The next page is asked for when the last one has been taken, from the position behind it, at whatever replica the
 * client uses by then: so nothing is missed and nothing comes twice, and at most one page is in memory. Called by `create-client.ts`.
 */
import type { ClientEvent, EventsOptions } from "../api/client-types.js";
import { EventsCompacted, InvalidInput, RequestRefused } from "../api/errors.js";
import { EventCursor, startBehind } from "../client/event-cursor.js";
import type { EventsAsk, QueryAnswer } from "../client/outcome.js";
import { eventsOfOutcome } from "../wire/events-codec.js";
import { readValueOf } from "./client-ends.js";

export type AskEvents = (
  name: string,
  from: EventsAsk["from"],
  signal: EventsOptions["signal"],
) => Promise<QueryAnswer>;

export async function* followEvents(
  ask: AskEvents,
  name: string,
  { after, signal }: EventsOptions,
): AsyncGenerator<ClientEvent<unknown>, void, undefined> {
  const start = after === undefined ? undefined : startBehind(after);
  if (after !== undefined && start === undefined)
    throw new InvalidInput("Cannot follow from there: `after` is an index, or the position of an event");
  const cursor = new EventCursor(start);
  for (;;) {
    const answer = await ask(name, cursor.from, signal);
    if (answer.status === "refused") {
      if (answer.refusal.code === "CANCELLED" || answer.refusal.code === "CLOSED") return;
      throw new RequestRefused(`$events of ${name}`, answer.refusal);
    }
    const found = eventsOfOutcome(answer.outcome);
    if (found === undefined) throw new Error(`Cannot read the answer to $events of ${name}`);
    if (found.kind === "compacted") throw new EventsCompacted(name, found.resumeAfter);
    for (const { position, data } of found.events) {
      if (signal?.aborted === true) return;
      yield { position, data: readValueOf(name, data) };
    }
    cursor.accept(found);
  }
}
