import { describe, expect, test } from "vitest";
import { packed, type Happening } from "../../../src/node/engine-messages.js";
import type { ToEngine } from "../../../src/replica/channel.js";

const forward = (payload: Uint8Array): ToEngine => ({ kind: "forward", as: "host", to: "b", payload });
const payloadOf = (message: ToEngine | Happening | undefined): Uint8Array | undefined =>
  message !== undefined && "payload" in message ? message.payload : undefined;

describe("a batch for the other thread", () => {
  test("shares one buffer of exactly its payloads' size, though they are views of larger ones", () => {
    const pool = new Uint8Array(1_000_000).fill(7);
    const propose: ToEngine = { kind: "propose", entries: [{ kind: "batch", payload: pool.subarray(10, 20) }] };
    const { messages, buffers } = packed<ToEngine>([propose, forward(pool.subarray(500, 505))]);

    expect(buffers.map(({ byteLength }) => byteLength)).toEqual([15]);
    expect(messages[0]).toEqual({ ...propose, entries: [{ kind: "batch", payload: new Uint8Array(10).fill(7) }] });
    expect(payloadOf(messages[1])).toEqual(new Uint8Array(5).fill(7));
    expect(payloadOf(messages[1])?.buffer).toBe(buffers[0]);
  });

  test("leaves on this side what it was made of, when its buffers are gone", () => {
    const payload = Buffer.from("kept here");
    const { messages, buffers } = packed([forward(payload)]);
    const [arrived] = structuredClone(messages, { transfer: buffers });

    expect(payload.toString()).toBe("kept here");
    expect(payloadOf(arrived)).toEqual(new Uint8Array(Buffer.from("kept here")));
    expect(payloadOf(messages[0])?.length).toBe(0);
  });

  test("gives a large payload a buffer of its own, so that a small one beside it does not keep it", () => {
    const large = new Uint8Array(100_000).fill(1);
    const small = new Uint8Array(8).fill(2);
    const { messages, buffers } = packed([forward(large), forward(small)]);

    expect(payloadOf(messages[0])).toEqual(large);
    expect(payloadOf(messages[1])?.buffer.byteLength).toBe(8);
    expect(buffers.length).toBe(2);
  });

  test("has nothing to transfer if it carries no payload", () => {
    const { messages, buffers } = packed<ToEngine>([{ kind: "readBarrier", id: 1, byLease: false }]);

    expect(messages).toEqual([{ kind: "readBarrier", id: 1, byLease: false }]);
    expect(buffers).toEqual([]);
  });
});
