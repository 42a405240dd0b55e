import { describe, expect, it } from "vitest";
import type { Candle } from "../src/api/types";
import { stepsOf } from "../src/panels/Chart";
import { remainingOf, sentenceOf, type Step } from "../src/panels/Explain";
import type { Instrument } from "../src/api/types";
import { closesAt, foldCandles } from "../src/store/candles";
import { neighbour } from "../src/store/keys";

const candle = (ts_us: number, close: number): Candle => ({
  ts_us,
  open: 1,
  high: 9,
  low: 1,
  close,
  volume: 1,
  notional: 1,
});

describe("candles", () => {
  const message = (...candles: Candle[]) => ({ channel: "candles.X.1m", seq: 1, data: { candles, seq: 1 } });
  it("replace the running one, and go on after it", () => {
    const before = [candle(60, 2), candle(120, 3)];
    expect(foldCandles(before, message(candle(120, 4))).map((it) => it.close)).toEqual([2, 4]);
    expect(foldCandles(before, message(candle(120, 4), candle(180, 5))).map((it) => it.close)).toEqual([2, 4, 5]);
    expect(foldCandles(before, message())).toBe(before);
  });
  it("have the index that was known at their time", () => {
    expect(closesAt([0, 60, 120, 180], [candle(60, 7), candle(180, 8)])).toEqual([null, 7, 7, 8]);
  });
});

describe("the depth", () => {
  it("adds up from the best price", () => {
    const levels = [
      { price: 5, size: 10, count: 1 },
      { price: 4, size: 5, count: 1 },
    ];
    expect(stepsOf(levels)).toEqual([
      { price: 5, sum: 10 },
      { price: 4, sum: 15 },
    ]);
  });
});

describe("the life of an order", () => {
  const steps = [
    { step: "placed", side: "bid", size: 2_000, price: 5_000_000, time_in_force: "gtc" },
    { step: "filled", size: 500, price: 5_000_000, remaining: 1_500, liquidity: "maker" },
    { step: "cancelled", remaining: 1_500, reason: "user_request" },
  ] as unknown as Step[];
  it("shows what was left after each step", () => {
    expect(remainingOf(steps).map((it) => it.remaining)).toEqual([2_000, 1_500, 0]);
  });
  it("is told in sentences", () => {
    expect(steps.map(sentenceOf)).toEqual([
      "placed: buy 2 at 5.00, gtc",
      "filled as maker: 0.5 at 5.00, 1.5 remain",
      "cancelled with 1.5 left: user request",
    ]);
  });
});

describe("the arrow keys", () => {
  const one = (strike: number, option_type: "call" | "put", expiration = 1) =>
    ({
      instrument_id: `${strike}${option_type}${expiration}`,
      asset: "SOL",
      expiration,
      strike,
      option_type,
    }) as Instrument;
  const all = [one(20, "call"), one(10, "call"), one(10, "put"), one(15, "call", 2)];
  const after = (of: Instrument, key: string) => neighbour(of, all, key).instrument_id;
  it("move in the series, and stay at its edges", () => {
    expect(after(one(10, "call"), "ArrowDown")).toBe("20call1");
    expect(after(one(10, "call"), "ArrowUp")).toBe("10call1");
    expect(after(one(10, "call"), "ArrowRight")).toBe("10put1");
    expect(after(one(20, "call"), "ArrowRight")).toBe("20call1");
  });
});
