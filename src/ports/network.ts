/**
 * Byte streams between processes. A connection delivers bytes in order or closes; what was sent before a close may be lost.
 * No handler is ever called from within `send`, `connect`, `listen` or `close`.
 */
export interface Network {
  /** Answers at once with a connection that is still opening; `closed` tells a failure to open too. */
  connect(address: string, handlers: ConnectionHandlers): Connection;
}

export interface Connection {
  /** Queues bytes; the owner must not change them afterwards. After a close it does nothing. */
  send(bytes: Uint8Array): void;
  /** Bytes queued and not yet taken by the operating system. */
  readonly bufferedBytes: number;
  /** Stops and starts reading: pushes back on a sender who outruns us. */
  pauseReading(): void;
  resumeReading(): void;
  /** Ends the connection, after what was queued is sent or at once if `reason` is "broken". `closed` is called once, later. */
  close(reason: "done" | "broken"): void;
}

export interface ConnectionHandlers {
  opened(): void;
  received(bytes: Uint8Array): void;
  /** The send queue has run empty after it was above the high-water mark. */
  drained(): void;
  closed(cause: string): void;
}
