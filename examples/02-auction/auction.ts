/**
 * Auctions that end by themselves, and tell everybody: timers and events.
 * Run it with `npx quorate dev examples/02-auction/auction.ts --data .quorate/02-auction`; `client.ts` talks to it.
 */
import { define, event, rejected } from "quorate";

const auctions = define({
  name: "auctions",
  version: 1,
  state: ({ map }) => ({ open: map<string, { bidder: string | null; amount: number; quietMs: number }>() }),
  timers: { end: event<{ lot: string }>() },
  events: {
    raised: event<{ lot: string; bidder: string; amount: number }>(),
    ended: event<{ lot: string; winner: string | null; amount: number }>(),
  },
});

export default auctions.machine({
  commands: {
    open(state, { lot, quietMs }: { lot: string; quietMs: number }, context) {
      if (state.open.has(lot)) return rejected("isOpen");
      state.open.set(lot, { bidder: null, amount: 0, quietMs });
      context.timers.set("end", lot, context.now + quietMs, { lot });
      return null;
    },
    bid(state, { lot, bidder, amount }: { lot: string; bidder: string; amount: number }, context) {
      const auction = state.open.get(lot);
      if (auction === undefined) return rejected("isNotOpen");
      if (amount <= auction.amount) return rejected("isTooLow", { amount: auction.amount });
      state.open.set(lot, { ...auction, bidder, amount });
      context.emit("raised", { lot, bidder, amount });
      // The same name and key: the end moves.
      context.timers.set("end", lot, context.now + auction.quietMs, { lot });
      return null;
    },
  },
  queries: {
    leading: (state, lot: string) => state.open.get(lot) ?? null,
  },
  on: {
    end(state, { lot }, context) {
      const auction = state.open.get(lot);
      if (auction === undefined) return;
      state.open.delete(lot);
      context.emit("ended", { lot, winner: auction.bidder, amount: auction.amount });
    },
  },
});
