/**
 * Events over HTTP, as a stream of server-sent events that a browser's `EventSource` follows and resumes by itself.
 *
 * Owns: the walk of one stream: from where it begins, its text, its end. A page of events is asked for only when the one before has been
 * taken, so a slow reader costs no memory. Leaves to others: routes (`http.ts`), pages (the door).
 *
 *   id: 7.0.0                   the position; sent back as Last-Event-ID, or given as ?after=
 *   data: {"from":"a"}          as in machine-json.ts
 *
 *   event: compacted            what was asked for is no longer kept; the stream goes on behind this position
 *   id: 5.2.0
 *   data: {"resumeAfter":"5.2.0"}
 */
import type { Door } from "../api/door.js";
import type { LowLevelMachine } from "../api/low-level.js";
import { EventCursor, startBehind } from "../client/event-cursor.js";
import type { EventPosition, EventsAnswer, StoredEvent } from "../model/events.js";
import { DecodeFailure, decodeValue } from "../wire/canonical.js";
import { refusedAnswer, type HttpAnswer } from "./http-answers.js";
import { toMachineJson } from "./machine-json.js";
import { didYouMean } from "./suggestion.js";

export interface HttpEventParts {
  readonly machine: LowLevelMachine;
  readonly door: Door;
  readonly streamsMax: number;
}

export interface HttpEvents {
  open(name: string, request: Request): Response | HttpAnswer;
  /** Ends every stream: its reader connects again, to another replica if it can. */
  close(): void;
}

/** After so long without an event a comment is sent: whoever has gone is noticed, and proxies keep the connection. */
const waitMs = 10_000;
const pageCountMax = 256;

export function openHttpEvents({ machine, door, streamsMax }: HttpEventParts): HttpEvents {
  const streams = new Set<EventStream>();
  return {
    open(name, request) {
      const names = machine.eventNames ?? [];
      if (!names.includes(name)) {
        const shown = name.slice(0, 64);
        const message = `Cannot follow ${shown}: the machine ${machine.name} has no such event.${didYouMean(shown, names)}`;
        return refusedAnswer(404, "UNKNOWN_COMMAND", message);
      }
      const after = request.headers.get("Last-Event-ID") ?? new URL(request.url).searchParams.get("after");
      const from = after === null || after === "" ? "oldest" : startOf(after);
      if (from === undefined)
        return refusedAnswer(
          400,
          "INVALID_INPUT",
          "Cannot follow from there: expected an index like 7, or the id of an event like 7.0.0",
        );
      if (streams.size >= streamsMax)
        return refusedAnswer(
          503,
          "OVERLOADED",
          `Cannot follow: ${streams.size} streams are open and the limit is ${streamsMax}`,
        );
      const stream = new EventStream(door, name, from === "oldest" ? undefined : from);
      streams.add(stream);
      return stream.response(() => streams.delete(stream));
    },
    close() {
      for (const stream of streams) stream.end();
    },
  };
}

/** Of `7`, behind that entry; of `7.0.0`, behind that event. */
function startOf(after: string): EventPosition | undefined {
  if (!/^\d{1,16}(?:\.-?\d{1,16}\.\d{1,16})?$/.test(after)) return undefined;
  const [index = 0, ordinal, sequence] = after.split(".").map(Number);
  return startBehind(ordinal === undefined || sequence === undefined ? index : { index, ordinal, sequence });
}

class EventStream {
  readonly #door: Door;
  readonly #name: string;
  readonly #cursor: EventCursor;
  #end: (() => void) | undefined;

  constructor(door: Door, name: string, from: EventPosition | undefined) {
    this.#door = door;
    this.#name = name;
    this.#cursor = new EventCursor(from);
  }

  response(ended: () => void): Response {
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#end = () => {
            if (this.#end === undefined) return;
            this.#end = undefined;
            ended();
            controller.close();
          };
          // So that the reader knows that the stream is open, and how soon to come back.
          controller.enqueue(encoder.encode("retry: 1000\n\n"));
        },
        pull: async (controller) => {
          const text = await this.#next();
          if (this.#end === undefined) return;
          if (text === undefined) this.#end();
          else controller.enqueue(encoder.encode(text));
        },
        cancel: () => {
          this.#end = undefined;
          ended();
        },
      },
      { highWaterMark: 1 },
    );
    return new Response(body, {
      headers: { "Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no" },
    });
  }

  end(): void {
    this.#end?.();
  }

  /** Undefined at the end. */
  async #next(): Promise<string | undefined> {
    const answer = await this.#door.events(
      { name: this.#name, from: this.#cursor.from, countMax: pageCountMax },
      waitMs,
    );
    if (answer.kind === "refused") return undefined;
    this.#cursor.accept(answer);
    return textOf(answer);
  }
}

function textOf(answer: EventsAnswer): string {
  if (answer.kind === "compacted") {
    const id = idOf(answer.resumeAfter);
    return `event: compacted\nid: ${id}\ndata: ${JSON.stringify({ resumeAfter: id })}\n\n`;
  }
  return answer.events.length === 0 ? ":\n\n" : answer.events.map(eventText).join("");
}

function eventText({ position, data }: StoredEvent): string {
  const value = decodeValue(data);
  if (value instanceof DecodeFailure) throw new Error(`Cannot read an event: ${value.reason}`);
  return `id: ${idOf(position)}\ndata: ${JSON.stringify(toMachineJson(value))}\n\n`;
}

function idOf({ index, ordinal, sequence }: EventPosition): string {
  return `${index}.${ordinal}.${sequence}`;
}
