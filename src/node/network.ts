/**
 * The network port on Node's TCP sockets, and a listener for the ports that a replica opens.
 *
 * Owns: sockets. Leaves to others: frames and handshakes (`transport/`). A send is handed to the socket at once: callers gather.
 */
import net from "node:net";

import type { Connection, ConnectionHandlers, Network } from "../ports/network.js";

export const nodeNetwork: Network = {
  connect(address, handlers) {
    const parsed = readAddress(address);
    if (parsed === undefined) return neverOpened(`cannot read address ${address}: it is not host:port`, handlers);
    return new SocketConnection(net.connect({ ...parsed, ...socketOptions }), handlers);
  },
};

/** What another process told us may not be an address at all: that is a failure to open like any other. */
function neverOpened(cause: string, handlers: ConnectionHandlers): Connection {
  queueMicrotask(() => handlers.closed(cause));
  const nothing = (): void => {};
  return { bufferedBytes: 0, send: nothing, pauseReading: nothing, resumeReading: nothing, close: nothing };
}

/** The other end of an idle connection may vanish without a word: the operating system looks after half a minute. */
const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 };

export interface Listener {
  /** `host:port` as bound. */
  readonly address: string;
  /** Stops accepting; existing connections are their owners' to close. */
  close(): void;
}

/** Rejects with a clear message if the address is in use or not ours. */
export function listen(address: string, accept: (socket: net.Socket) => void): Promise<Listener> {
  const { host, port } = parseAddress(address);
  return new Promise((resolve, reject) => {
    const server = net.createServer(socketOptions, accept);
    server.once("error", (cause) => reject(new Error(`Cannot listen on ${address}: ${cause.message}`, { cause })));
    server.listen({ host, port }, () => {
      const bound = server.address();
      const boundPort = bound !== null && typeof bound === "object" ? bound.port : port;
      resolve({ address: formatAddress(host, boundPort), close: () => server.close() });
    });
  });
}

/** An accepted socket as a connection of the port's form. */
export function accepted(socket: net.Socket): (handlers: ConnectionHandlers) => Connection {
  return (handlers) => new SocketConnection(socket, handlers);
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, with `[…]` around an IPv6 host. Throws on anything else. */
export function parseAddress(address: string): Address {
  const parsed = readAddress(address);
  if (parsed === undefined) throw new Error(`Cannot read address ${address}: it is not host:port`);
  return parsed;
}

function readAddress(address: string): Address | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || !(port <= 65_535) ? undefined : { host, port };
}

export function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

class SocketConnection implements Connection {
  readonly #socket: net.Socket;

  constructor(socket: net.Socket, handlers: ConnectionHandlers) {
    this.#socket = socket;
    let cause = "closed by the other side";
    socket.on("connect", () => handlers.opened());
    // A plain view of the same memory: to take a part of a Buffer costs several times as much, and each message is one.
    socket.on("data", ({ buffer, byteOffset, length }) =>
      handlers.received(new Uint8Array(buffer, byteOffset, length)),
    );
    socket.on("drain", () => handlers.drained());
    socket.on("error", (error) => {
      cause = error.message;
    });
    socket.on("close", () => handlers.closed(cause));
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  send(bytes: Uint8Array): void {
    if (!this.#socket.destroyed && this.#socket.writable) this.#socket.write(bytes);
  }

  pauseReading(): void {
    this.#socket.pause();
  }

  resumeReading(): void {
    this.#socket.resume();
  }

  close(reason: "done" | "broken"): void {
    if (reason === "done") this.#socket.end();
    else this.#socket.destroy();
  }
}
