/**
 * JSON logs, one object a line, that never hold a replica up.
 *
 * Owns: the destination. A replica whose stderr is a pipe that nobody reads must go on (hazard L7), so lines wait in a bounded
 * buffer and are dropped and counted beyond it. Control characters are escaped, so a line cannot forge another or drive a
 * terminal (threat 12). Leaves to others: what is worth a line.
 */
import { fstatSync, writeFile as writeToFile } from "node:fs";
import { Socket } from "node:net";
import { pino, type Logger } from "pino";

export type { Logger };

/** Longer lines are cut to a note that says so. */
export const logLineBytesMax = 8192;

export interface LogSink {
  /** Answers whether the line was taken. */
  take(line: string): boolean;
  /** Calls back when everything is written, or when `waitMsMax` has passed. */
  close(waitMsMax: number): Promise<void>;
}

export interface Logs {
  readonly logger: Logger;
  /** Lines dropped because nobody read them. */
  dropped(): number;
  close(): Promise<void>;
}

export function openLogs(level: string, sink: LogSink): Logs {
  let dropped = 0;
  let unreported = 0;
  const write = (line: string): void => {
    if (
      unreported > 0 &&
      sink.take(
        `${JSON.stringify({ level: 40, time: Date.now(), msg: "log lines were dropped", count: unreported })}\n`,
      )
    ) {
      unreported = 0;
    }
    if (sink.take(safeLine(line))) return;
    dropped += 1;
    unreported += 1;
  };
  const logger = pino({ level, base: null }, { write });
  return { logger, dropped: () => dropped, close: () => sink.close(200) };
}

/** One line of JSON stays one line of JSON: what is escaped here stands inside its strings. */
export function safeLine(line: string): string {
  if (line.length > logLineBytesMax) {
    return `${JSON.stringify({ level: 40, time: Date.now(), msg: "a log line was too long", characters: line.length, limit: logLineBytesMax })}\n`;
  }
  return line.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Writes to an open file descriptor, which may be a pipe, a socket, a terminal or a file. */
export function openSink(fd: number, bufferBytesMax: number): LogSink {
  const kind = fstatSync(fd);
  return kind.isFIFO() || kind.isSocket() ? pipeSink(fd, bufferBytesMax) : fileSink(fd, bufferBytesMax);
}

/**
 * `process.stderr` writes to a pipe synchronously and would stop the event loop once the pipe is full; a socket over the same
 * descriptor does not.
 */
function pipeSink(fd: number, bufferBytesMax: number): LogSink {
  const pipe = new Socket({ fd, readable: false, writable: true });
  let isBroken = false;
  // The reader is gone: there is nobody to tell.
  pipe.on("error", () => (isBroken = true));
  pipe.unref();
  return {
    take: (line) => {
      if (isBroken || pipe.writableLength + line.length > bufferBytesMax) return false;
      pipe.write(line);
      return true;
    },
    close: (waitMsMax) =>
      new Promise((resolve) => {
        if (isBroken || pipe.writableLength === 0) return resolve();
        setTimeout(resolve, waitMsMax);
        pipe.once("drain", resolve);
        return undefined;
      }),
  };
}

/** Files and terminals are written by the thread pool, one write at a time, so lines keep their order. */
function fileSink(fd: number, bufferBytesMax: number): LogSink {
  let waiting = "";
  let writing = 0;
  let idle: () => void = () => undefined;
  const pump = (): void => {
    if (waiting === "") return idle();
    const text = waiting;
    [waiting, writing] = ["", text.length];
    // A failed write costs its lines: there is no other place to say so.
    writeToFile(fd, text, () => {
      writing = 0;
      pump();
    });
  };
  return {
    take: (line) => {
      if (waiting.length + writing + line.length > bufferBytesMax) return false;
      waiting += line;
      if (writing === 0) pump();
      return true;
    },
    close: (waitMsMax) =>
      new Promise((resolve) => {
        if (writing === 0) return resolve();
        setTimeout(resolve, waitMsMax);
        idle = resolve;
        return undefined;
      }),
  };
}
