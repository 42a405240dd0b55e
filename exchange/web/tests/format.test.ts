import { describe, expect, test } from "vitest";
import * as format from "../src/format";

describe("numbers of the wire", () => {
  test.each([
    [2_500_000, 10_000, "2.50"],
    [1_000, 1_000, "0.001"],
    [10_000_000_000_000, 10_000, "10,000,000.00"],
    [0, 10_000, "0.00"],
    [null, 10_000, "–"],
  ])("price %s with the tick %s is %s", (micros, tick, text) => {
    expect(format.price(micros, tick)).toBe(text);
  });

  test.each([
    [1_500, "1.5"],
    [-3_001, "-3.001"],
    [1_000_000, "1,000"],
  ])("amount %s is %s", (milli, text) => {
    expect(format.amount(milli)).toBe(text);
  });

  test("cash below a cent keeps its digits", () => {
    expect(format.cash(1)).toBe("0.000001");
    expect(format.signed(2_000_000)).toBe("+2.00");
    expect(format.signed(-2_000_000)).toBe("-2.00");
  });
});

describe("numbers that are typed", () => {
  test.each([
    ["2.5", 2_500_000],
    ["0,01", 10_000],
    ["7", 7_000_000],
    [".5", 500_000],
    ["0.0000001", null],
    ["", null],
    [".", null],
    ["1e3", null],
    // A thousand, or one and no fraction: the exchange must not guess.
    ["1,000", null],
    ["1.000", 1_000_000],
    ["-1", null],
  ])("%j is %s", (text, micros) => {
    expect(format.parsePrice(text)).toBe(micros);
  });
});

describe("a price without a known tick", () => {
  test("has all its digits, and at least two decimals", () => {
    expect([2_500_000, 1_000, 99_981_415_197].map((it) => format.price(it))).toEqual([
      "2.50",
      "0.001",
      "99,981.415197",
    ]);
  });
});

describe("an amount in a narrow column", () => {
  test("has no fraction from a hundred contracts on", () => {
    expect([99_500, 100_400, 2_577_872, null].map(format.rough)).toEqual(["99.5", "100", "2,578", "–"]);
  });
});
