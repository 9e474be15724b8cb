/**
 * A Redis client that sends and shows raw bytes, for tests of what stands on the wire.
 */
import net from "node:net";

export class RespClient {
  readonly #socket: net.Socket;
  #received = "";
  #closed = false;
  #wake: (() => void) | undefined;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      this.#received += text;
      this.#wake?.();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#closed = true;
      this.#wake?.();
    });
  }

  static connect(port: number): Promise<RespClient> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host: "127.0.0.1", port }, () => resolve(new RespClient(socket)));
      socket.once("error", reject);
    });
  }

  get socket(): net.Socket {
    return this.#socket;
  }

  /** Commands in one piece, each written with blanks between its arguments. */
  send(...lines: readonly string[]): void {
    this.sendRaw(lines.map((line) => encodeCommand(line.split(" "))).join(""));
  }

  sendRaw(text: string): void {
    this.#socket.write(text, "latin1");
  }

  /** Waits for exactly this text next, and answers what came instead if something else does. */
  async read(expected: string): Promise<string> {
    while (this.#received.length < expected.length && !this.#closed) {
      if (!expected.startsWith(this.#received)) break;
      await this.#more();
    }
    const got = this.#received.slice(0, expected.length);
    this.#received = this.#received.slice(expected.length);
    return got;
  }

  /** Everything until the other side closes. */
  async readToEnd(): Promise<string> {
    while (!this.#closed) await this.#more();
    return this.#received;
  }

  close(): void {
    this.#socket.destroy();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

export function encodeCommand(argv: readonly string[]): string {
  return `*${argv.length}\r\n${argv.map((text) => `$${text.length}\r\n${text}\r\n`).join("")}`;
}
