/**
 * Bids in a running auction and waits for its end. In the folder of the clone, with the client addresses of the card:
 *
 *     npx tsc --ignoreConfig --target es2023 --module nodenext --rootDir . --outDir .quorate/build --types node examples/02-auction/client.ts
 *     node .quorate/build/examples/02-auction/client.js 127.0.0.1:7200 127.0.0.1:7201 127.0.0.1:7202
 *
 * Kill any replica meanwhile: the auction ends once, and whoever follows it is told once.
 */
import { connect } from "quorate/client";
import auctions from "./auction.js";

const client = await connect(auctions, { endpoints: process.argv.slice(2) });
const lot = `lamp-${Date.now()}`;
const { index } = await client.$detail.open({ lot, quietMs: 2_000 });

for (const [bidder, amount] of [
  ["ada", 10],
  ["ben", 12],
  ["ada", 15],
] as const) {
  await client.bid({ lot, bidder, amount });
}

for await (const { data, position } of client.$events("ended", { after: index })) {
  if (data.lot !== lot) continue;
  console.log(`${lot} goes to ${data.winner} for ${data.amount}, decided by entry ${position.index}`);
  break;
}

await client.$close();
