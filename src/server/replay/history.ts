/** What entries did to one key. Owns: which changes are looked at, and the lines of `--key` and `history`. */
import type { Replayed, ReplayedStep, Watch } from "./replayer.js";
import { isMeant } from "./state-text.js";
import { askedText, changeText, timeText } from "./text.js";

export const everyChange: Watch = () => true;

/** `key` as a user writes it. */
export function changesOfKey(key: string): Watch {
  return (change) => isMeant(key, { name: change.collection, key: change.key }) && changeText(change) !== undefined;
}

/** Of what was watched with `changesOfKey`. */
export function historyLines({ entry, steps }: Replayed): readonly string[] {
  return steps.flatMap((step) =>
    (step.changes?.shown ?? []).map(
      (change) => `${entry.index}  ${timeText(entry.time)}  ${causeText(step)}\n  ${changeText(change) ?? ""}`,
    ),
  );
}

/** The same entry without the calls that changed nothing of what was watched; undefined if none did. */
export function onlyChanging(replayed: Replayed): Replayed | undefined {
  const steps = replayed.steps.filter(({ changes }) => changes !== undefined && changes.shown.length > 0);
  return steps.length === 0 ? undefined : { ...replayed, steps };
}

function causeText(step: ReplayedStep): string {
  switch (step.kind) {
    case "request":
      return askedText(step.request, step.principal);
    case "timer":
      return `timer ${step.name} ${step.key}`;
    case "sweep":
      return "sweep";
  }
}
