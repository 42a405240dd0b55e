import { describe, expect, it } from "vitest";
import type { Instrument, Ticker, Timeline } from "../src/api/types";
import { activityOf } from "../src/pages/Results";
import { whatIfOf } from "../src/panels/WhatIf";
import { smilesOf } from "../src/store/smiles";

describe("what if", () => {
  const nothing = { orders: "", rules: "", asset: "SOL", index: "", fromUs: null };
  it("says what is missing or wrong", () => {
    expect(whatIfOf(nothing)).toBe("Say what would be different.");
    expect(whatIfOf({ ...nothing, orders: "12, x" })).toContain("Orders are their numbers");
    expect(whatIfOf({ ...nothing, rules: "fees" })).toContain("Each rule is a line");
    expect(whatIfOf({ ...nothing, index: "120" })).toContain("Choose the moment");
  });
  it("leaves orders out, changes rules, and bends an index", () => {
    expect(whatIfOf({ ...nothing, orders: "12, 15" })).toEqual({ without_orders: [12, 15] });
    expect(whatIfOf({ ...nothing, rules: "fees = 100/200\n" })).toEqual({ rules: { fees: "100/200" } });
    expect(whatIfOf({ ...nothing, index: "120.5", fromUs: 7 })).toEqual({ index_paths: { SOL: [[7, 120_500_000]] } });
  });
});

describe("the volatility surface", () => {
  it("has a line for each expiration that has marks, over all strikes", () => {
    const one = (strike: number, expiration: number) =>
      ({ instrument_id: `${strike} ${expiration}`, strike, expiration }) as Instrument;
    const tickers = new Map([
      ["10 1", { mark_iv: 0.5 } as Ticker],
      ["20 1", { mark_iv: 0.6 } as Ticker],
    ]);
    expect(smilesOf([one(20, 1), one(10, 1), one(30, 2)], tickers)).toEqual({
      strikes: [10, 20, 30],
      lines: [{ expiration: 1, values: [50, 60, null] }],
    });
  });
});

describe("the activity", () => {
  it("counts the commands for each trade", () => {
    const bucket = (commands: number, trades: number) =>
      ({ commands, trades, volume: 500 }) as Timeline["buckets"][number];
    const timeline = { buckets: [bucket(10, 2), bucket(20, 1)] } as Timeline;
    expect(activityOf(timeline)).toEqual({ commands: 30, trades: 3, volume: 1_000, ratio: 10 });
    expect(activityOf({ buckets: [bucket(5, 0)] } as Timeline).ratio).toBeNull();
  });
});
