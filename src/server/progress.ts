/**
 * How far a long command is, on stderr: a bar that is drawn anew at a terminal, otherwise a line now and then.
 *
 * Owns: how often, and the bar. Called by the verbs `member` and `sim`.
 */

export interface Progress {
  /** `share` is what is done, from 0 to 1; undefined if there is no telling. */
  show(text: string, share?: number): void;
  end(): void;
}

export const silentProgress: Progress = { show: () => undefined, end: () => undefined };

/** Milliseconds between two. */
const redrawMs = 100;
const lineMs = 10_000;
const barWidth = 30;

export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): void;
}

/** `now` in milliseconds. */
export function openProgress(stream: Screen, now: () => number = () => performance.now()): Progress {
  const isTerminal = stream.isTTY === true;
  const gapMs = isTerminal ? redrawMs : lineMs;
  let last = now() - (isTerminal ? gapMs : 0);
  return {
    show: (text, share) => {
      const at = now();
      if (at - last < gapMs) return;
      last = at;
      const line = share === undefined ? text : `${barOf(share)} ${text}`;
      stream.write(isTerminal ? `\r\u001b[K${line.slice(0, (stream.columns ?? 80) - 1)}` : `${text}\n`);
    },
    end: () => {
      if (isTerminal) stream.write("\r\u001b[K");
    },
  };
}

function barOf(share: number): string {
  const done = Math.round(share * barWidth);
  return `${"█".repeat(done)}${"░".repeat(barWidth - done)}`;
}
