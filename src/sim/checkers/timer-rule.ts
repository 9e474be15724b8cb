/**
 * When timers of the standard machine must have fired, worked out from its own events by a model that is too simple to be wrong.
 *
 * Owns: rule V22, and that what a failed command emitted is nowhere (V21). Called at the end of a run.
 */
import type { Entry } from "../../model/entry.js";
import type { LogIndex } from "../../model/ids.js";
import { comparePositions, type StoredEvent } from "../../model/events.js";
import { decodeValue } from "../../wire/canonical.js";
import { isSpoilt, type Reminder } from "../standard-machine.js";
import type { EventJudge } from "./event-judge.js";
import { must } from "./violation.js";

interface Noted {
  readonly kind: "reminded" | "rang" | "forgot";
  readonly event: StoredEvent;
}

/** `isFirstSkipped`: the first step of this entry was finished by nobody, so its timer is spent. */
export function checkTimers(
  judge: EventJudge,
  entries: readonly Entry[],
  timersPerEntryMax: number,
  isFirstSkipped: (index: LogIndex) => boolean,
): void {
  must(judge.eventsOf("spoilt").length === 0, "V21", () => "an event of a command that failed is in the order");
  const byEntry = new Map<number, Noted[]>();
  for (const kind of ["reminded", "rang", "forgot"] as const) {
    for (const event of judge.eventsOf(kind)) {
      const { index } = event.position;
      byEntry.set(index, [...(byEntry.get(index) ?? []), { kind, event }]);
    }
  }
  const waiting = new Map<string, Reminder>();
  for (const { index, time } of entries) {
    const noted = byEntry.get(index) ?? [];
    noted.sort((left, right) => comparePositions(left.event.position, right.event.position));
    const due = [...waiting.values()].filter(({ at }) => at <= time).sort(inOrder);
    const fired = due.slice(0, timersPerEntryMax);
    for (const { key } of fired) waiting.delete(key);
    const rang = noted.filter(({ kind }) => kind === "rang").map(({ event }) => decodeValue(event.data) as Reminder);
    const finished = isFirstSkipped(index) ? fired.slice(1) : fired;
    must(textOf(rang) === textOf(finished.filter((reminder) => !isSpoilt(reminder))), "V22", () => {
      return `entry ${index} at ${time} fires the timers set by ${textOf(rang)}, and due are those by ${textOf(due)}`;
    });
    for (const { kind, event } of noted) {
      const reminder = decodeValue(event.data) as Reminder;
      if (kind === "reminded") waiting.set(reminder.key, reminder);
      else if (kind === "forgot") waiting.delete(reminder.key);
    }
  }
}

function inOrder(left: Reminder, right: Reminder): number {
  return left.at - right.at || (left.key < right.key ? -1 : 1);
}

function textOf(reminders: readonly Reminder[]): string {
  return reminders.length === 0 ? "nobody" : reminders.map(({ by, at }) => `${by} for ${at}`).join(", ");
}
