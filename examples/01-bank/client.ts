/**
 * Talks to a running bank. In the folder of the clone, with the client addresses of the card:
 *
 *     npx tsc --ignoreConfig --target es2023 --module nodenext --rootDir . --outDir .quorate/build --types node examples/01-bank/client.ts
 *     node .quorate/build/examples/01-bank/client.js 127.0.0.1:7200 127.0.0.1:7201 127.0.0.1:7202
 *
 * Shows each end that a call can have. Kill the leader while it runs: the sum stays right, because each deposit is executed
 * exactly once, however often the client had to ask.
 */
import { connect } from "quorate/client";
import bank from "./bank.js";

const endpoints = process.argv.slice(2);
const client = await connect(bank, { endpoints, timeoutMs: 5_000 });
const account = `anna-${Date.now()}`;

// Many calls at once: they are executed in this order, and gathered into few writes to disk.
const deposits = Array.from({ length: 1_000 }, () => client.$try.deposit({ account, amount: 1n }));
let certain = 0n;
for (const outcome of await Promise.all(deposits)) {
  if (outcome.status === "ok") certain += 1n;
  else if (outcome.status === "unknown") {
    // Never ask again blindly. The token settles it: executed, or never.
    const fate = await client.$resolve(outcome.token);
    if (fate.status === "executed") certain += 1n;
  } else console.log("not deposited, surely:", outcome);
}

const balance = await client.balance(account);
console.log(`${certain} deposits were executed, and the balance is ${balance}`);

// A rejection is an answer of the machine, typed with its data.
const tooMuch = await client.$try.withdraw({ account, amount: balance + 1n });
if (tooMuch.status === "rejected") console.log(`${tooMuch.code}: only ${tooMuch.data.balance} there`);

await client.$close();
