/** Verifying on a thread of its own: the same answers, and also when that thread is gone. As it is built, since a thread runs no TypeScript. */
import { generateKeyPairSync } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import type { CreditSettings } from "../../src/authentication/credit.js";
import type { SignatureThread as Thread } from "../../src/node/signature-thread.js";
import { signerOf } from "../../src/node/signatures.js";
import type { Claim } from "../../src/ports/signatures.js";

const built = new URL("../../dist/node/signature-thread.js", import.meta.url);
const { SignatureThread } = (await import(built.href)) as {
  readonly SignatureThread: new (little: CreditSettings) => Thread;
};

const signer = signerOf(generateKeyPairSync("ed25519").privateKey);

/** Its bytes are a view of a large buffer, as those of a received message are. */
function claimOf(number: number, isGood = true): Claim {
  const bytes = new Uint8Array(100_000).subarray(500, 600);
  bytes[0] = number;
  const signature = signer.sign(bytes);
  if (!isGood) signature[0] = (signature[0] ?? 0) ^ 1;
  return { publicKey: signer.publicKey, bytes, signature };
}

const threads: Thread[] = [];
/** `onLoop` signatures are verified without the thread. */
function started(onLoop = 0): Thread {
  const thread = new SignatureThread({ burst: onLoop, perSecond: 0 });
  threads.push(thread);
  return thread;
}
afterEach(async () => {
  for (const thread of threads.splice(0)) await thread.stop();
});

const ask = (thread: Thread, claims: readonly Claim[]): Promise<readonly boolean[]> =>
  new Promise((resolve) => thread.verify(claims, resolve));

test("each of several signatures is answered for itself, and calls in their order", async () => {
  const thread = started();
  const order: number[] = [];
  const asked = Array.from({ length: 20 }, (_, number) =>
    ask(thread, [claimOf(number), claimOf(number, false), claimOf(number)]).then((results) => {
      order.push(number);
      return results;
    }),
  );

  expect(await Promise.all(asked)).toEqual(Array.from({ length: 20 }, () => [true, false, true]));
  expect(order).toEqual([...order].sort((one, other) => one - other));
  expect(thread.isRunning).toBe(true);
});

test("what cannot even be a key or a signature is not good, and the thread goes on", async () => {
  const thread = started();
  const none = new Uint8Array(0);

  expect(await ask(thread, [{ publicKey: none, bytes: none, signature: none }])).toEqual([false]);
  expect(await ask(thread, [claimOf(1)])).toEqual([true]);
});

/** A key that can be read here and not there, since symbols are not sent: it ends the thread. */
function endingClaim(): Claim {
  const odd = { length: 0, [Symbol.iterator]: () => [][Symbol.iterator]() } as unknown as Uint8Array;
  return { ...claimOf(1), publicKey: odd };
}

test("a few signatures are verified without the thread, later all the same, and more with it", async () => {
  const thread = started(2);
  let isAnswered = false;
  const [one, two] = [ask(thread, [endingClaim()]), ask(thread, [claimOf(1)])];
  void one.then(() => (isAnswered = true));
  await Promise.resolve();
  expect(isAnswered).toBe(false);

  expect([await one, await two]).toEqual([[false], [true]]);
  expect(thread.isRunning).toBe(true);
  expect(await ask(thread, [endingClaim()])).toEqual([false]);
  expect(thread.isRunning).toBe(false);
});

test("a thread that is gone leaves no question without an answer", async () => {
  const thread = started();
  const first = ask(thread, [endingClaim()]);
  const asked = Array.from({ length: 5 }, (_, number) => ask(thread, [claimOf(number), claimOf(number, false)]));

  expect(await first).toEqual([false]);
  expect(await Promise.all(asked)).toEqual(Array.from({ length: 5 }, () => [true, false]));
  expect(thread.isRunning).toBe(false);
  expect(await ask(thread, [claimOf(9)])).toEqual([true]);
});

test("after a stop nobody is answered", async () => {
  let isAnswered = false;
  for (const thread of [started(), started(8)]) {
    thread.verify([claimOf(1)], () => (isAnswered = true));
    await thread.stop();
    thread.verify([claimOf(2)], () => (isAnswered = true));
    await new Promise((resolve) => setImmediate(resolve));
  }

  expect(isAnswered).toBe(false);
});
