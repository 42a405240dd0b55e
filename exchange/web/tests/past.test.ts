import { describe, expect, it } from "vitest";
import { pathOf, xOf } from "../src/panels/PastBar";
import { strideOf } from "../src/store/past";

describe("the time line", () => {
  it("places a command between the ends, and at the end if there is only one", () => {
    expect(xOf(1, 1, 101, 400)).toBe(0);
    expect(xOf(51, 1, 101, 400)).toBe(200);
    expect(xOf(101, 1, 101, 400)).toBe(400);
    expect(xOf(1, 1, 1, 400)).toBe(400);
  });
  it("draws a line from the lowest to the highest value, without those that are not known", () => {
    expect(pathOf([undefined, 100, 200], 40)).toBe("1.5,38.0 2.5,2.0");
    expect(pathOf([undefined], 40)).toBe("");
    expect(pathOf([5, 5], 40)).toBe("0.5,38.0 1.5,38.0");
  });
});

describe("a film", () => {
  it("shows each unit when slow, and about ten pictures a second when fast", () => {
    expect(strideOf(1)).toEqual({ count: 1, everyMs: 1_000 });
    expect(strideOf(5)).toEqual({ count: 1, everyMs: 200 });
    expect(strideOf(100)).toEqual({ count: 10, everyMs: 100 });
    expect(strideOf(-100)).toEqual({ count: -10, everyMs: 100 });
  });
});
