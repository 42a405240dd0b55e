import { describe, expect, it } from "vitest";
import { csvOf } from "../src/csv";
import { sharesOf } from "../src/pages/Account";
import { healthOf } from "../src/pages/Operate";
import { changesSomething, fieldOf, paramsOf, type ApiDocument, type Schema } from "../src/store/api_form";
import { differences } from "../src/store/rules_diff";
import { scriptOf } from "../src/store/session";

const DOCUMENT: ApiDocument = {
  methods: [],
  components: { schemas: { Side: { enum: ["bid", "ask"] } } },
};

describe("the form of a method", () => {
  const field = (schema: Schema, required = false) =>
    fieldOf({ name: "x", description: "An x.", required, schema }, DOCUMENT);

  it("offers the choices of a referenced enum", () => {
    expect(field({ $ref: "#/components/schemas/Side" }).choices).toEqual(["bid", "ask"]);
  });
  it("knows a number that may be null, and its unit", () => {
    const number = field({ anyOf: [{ type: "integer" }, { type: "null" }], "x-unit": "micros of USDC" });
    expect([number.kind, number.unit]).toEqual(["integer", "micros of USDC"]);
  });
  it("takes lists and objects as JSON", () => {
    expect(field({ type: "array" }).kind).toBe("json");
  });
  it("leaves empty fields out, and says what is missing or wrong", () => {
    const fields = [
      { ...field({ type: "integer" }, true), name: "amount" },
      { ...field({ type: "boolean" }), name: "post_only" },
      { ...field({ type: "array" }), name: "channels" },
    ];
    const typed = (entries: [string, string][]) => paramsOf(fields, new Map(entries));
    expect(typed([])).toBe("amount is missing.");
    expect(typed([["amount", "1.5"]])).toBe("amount is a whole number, such as 1000.");
    expect(typed([["amount", "1000"]])).toEqual({ amount: 1000 });
    expect(
      typed([
        ["amount", "1"],
        ["post_only", "false"],
        ["channels", '["a"]'],
      ]),
    ).toEqual({ amount: 1, post_only: false, channels: ["a"] });
    expect(
      typed([
        ["amount", "1"],
        ["channels", "a"],
      ]),
    ).toContain("is JSON");
  });
  it("asks before it sends what changes something", () => {
    expect(changesSomething("private/buy", {})).toBe(true);
    expect(changesSomething("private/buy", { dry_run: true })).toBe(false);
    expect(changesSomething("private/get_order", {})).toBe(false);
    expect(changesSomething("admin/halt", {})).toBe(true);
    expect(changesSomething("admin/get_accounts", {})).toBe(false);
  });
});

describe("a CSV", () => {
  it("quotes commas, quotes and line ends, and leaves nothing for nothing", () => {
    expect(csvOf(["a", "b"], [['say "hi", you', null]])).toBe('a,b\r\n"say ""hi"", you",\r\n');
  });
  it("is no formula of a spreadsheet", () => {
    expect(csvOf(["label"], [["=1+1"], [-5]])).toBe("label\r\n'=1+1\r\n-5\r\n");
  });
});

describe("the difference of rules", () => {
  it("names each leaf that changes, comes or goes", () => {
    const before = { fees: { maker: 0, taker: 5 }, series: [{ asset: "SOL" }], old: true };
    const after = { fees: { maker: 1, taker: 5 }, series: [{ asset: "SOL" }, { asset: "BTC" }] };
    expect(differences(before, after)).toEqual([
      { rule: "fees.maker", before: "0", after: "1" },
      { rule: "old", before: "true", after: "(none)" },
      { rule: "series.1.asset", before: "(none)", after: '"BTC"' },
    ]);
  });
});

describe("the margin", () => {
  it("is a share of the cash, at most all of it", () => {
    expect(sharesOf({ available: 750, locked: 250, maintenance: 100 })).toEqual({ locked: 0.25, maintenance: 0.1 });
    expect(sharesOf({ available: -100, locked: 50, maintenance: 50 })).toEqual({ locked: 1, maintenance: 1 });
    expect(sharesOf({ available: 0, locked: 0, maintenance: 0 })).toEqual({ locked: 0, maintenance: 0 });
  });
});

describe("the health of the exchange", () => {
  it("marks what is a reason to worry", () => {
    const bad = (metrics: Record<string, number | boolean | null>) =>
      healthOf({ exchange_ready: true, exchange_disk_free_bytes: 2 ** 40, ...metrics })
        .filter((it) => it.isBad)
        .map((it) => it.name);
    expect(bad({})).toEqual([]);
    expect(bad({ exchange_ready: false })).toEqual(["ready to trade"]);
    expect(bad({ exchange_follower_alarm: true, exchange_disk_free_bytes: 1000 })).toEqual([
      "alarm of the follower",
      "disk",
    ]);
  });
});

describe("an old tab", () => {
  it("knows the script of a page", () => {
    expect(scriptOf('<script type="module" crossorigin src="/assets/index-a1.js"></script>')).toBe(
      "/assets/index-a1.js",
    );
    expect(scriptOf("not built")).toBeUndefined();
  });
});
