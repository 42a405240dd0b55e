// What would have become of the account without some orders, with other rules, or with another path of an index.
import { useSignal } from "@preact/signals";
import type { Params } from "../api/connection";
import type { WhatIfResult } from "../api/types";
import * as format from "../format";
import { Panel } from "../parts/Panel";
import { Table } from "../parts/Table";
import { moment } from "../store/address";
import { asset, connection, wordsOf } from "../store/exchange";
import { place } from "../store/past";

/** The request of what was typed; a text says what is wrong. */
export function whatIfOf(typed: {
  orders: string;
  rules: string;
  asset: string;
  index: string;
  fromUs: number | null;
}): Params<"private/what_if"> | string {
  const params: Params<"private/what_if"> = {};
  const orders = typed.orders.split(/[\s,]+/).filter((it) => it !== "");
  if (!orders.every((it) => /^\d+$/.test(it))) return "Orders are their numbers, such as 12, 15.";
  if (orders.length > 0) params.without_orders = orders.map(Number);
  const rules = typed.rules.split("\n").filter((it) => it.trim() !== "");
  const pairs = rules.map((it) => it.split("=").map((part) => part.trim()));
  if (!pairs.every((it) => it.length === 2 && it.every((part) => part !== "")))
    return "Each rule is a line such as fees=100/200.";
  if (pairs.length > 0) params.rules = Object.fromEntries(pairs) as Record<string, string>;
  if (typed.index.trim() !== "") {
    const price = format.parsePrice(typed.index);
    if (price === null || price === 0) return "The index is a number of USDC, such as 120.";
    if (typed.fromUs === null) return "Choose the moment on the time line from which the index is another one.";
    params.index_paths = { [typed.asset]: [[typed.fromUs, price]] } as unknown as Record<string, never[][]>;
  }
  if (Object.keys(params).length === 0) return "Say what would be different.";
  return params;
}

export function WhatIf() {
  const orders = useSignal("");
  const rules = useSignal("");
  const index = useSignal("");
  const isRunning = useSignal(false);
  const problem = useSignal("");
  const result = useSignal<WhatIfResult | null>(null);
  const at = moment.value;
  const fromUs = at !== null && place.value?.seq === at.seq ? place.value.ts_us : null;
  const run = async (event: Event) => {
    event.preventDefault();
    const params = whatIfOf({
      orders: orders.value,
      rules: rules.value,
      asset: asset.value,
      index: index.value,
      fromUs,
    });
    if (typeof params === "string") {
      problem.value = params;
      return;
    }
    problem.value = "";
    isRunning.value = true;
    try {
      result.value = await connection.aside("private/what_if", params);
    } catch (error) {
      problem.value = wordsOf(error);
    }
    isRunning.value = false;
  };
  return (
    <Panel title="What if" area="what-if">
      <form onSubmit={(event) => void run(event)}>
        <p class="hint">The journal is replayed with these changes, and the account compared. Nothing changes here.</p>
        <div class="param">
          <label for="what-if-orders">Without these orders</label>
          <input
            id="what-if-orders"
            placeholder="12, 15"
            value={orders.value}
            onInput={(event) => (orders.value = event.currentTarget.value)}
          />
        </div>
        <div class="param">
          <label for="what-if-rules">With these rules</label>
          <textarea
            id="what-if-rules"
            rows={2}
            placeholder="fees=100/200"
            value={rules.value}
            onInput={(event) => (rules.value = event.currentTarget.value)}
          />
        </div>
        <div class="param">
          <label for="what-if-index">
            {asset.value === "" ? "Index" : `Index of ${asset.value}`} from the chosen moment on
          </label>
          <input
            id="what-if-index"
            inputMode="decimal"
            placeholder="USDC"
            value={index.value}
            onInput={(event) => (index.value = event.currentTarget.value)}
          />
        </div>
        <p class="buttons">
          <button type="submit" disabled={isRunning.value}>
            {isRunning.value ? "Replaying" : "What if?"}
          </button>
        </p>
      </form>
      <div aria-live="polite">
        {problem.value !== "" && <p class="error">{problem.value}</p>}
        {result.value !== null && <Outcome result={result.value} />}
      </div>
      <p class="hint">
        To go on from {at === null ? "a moment" : "this moment"} in an exchange of your own, type:{" "}
        <code>exchange fork --at {at?.seq ?? "SEQ"} what_then.db</code>
      </p>
    </Panel>
  );
}

function Outcome({ result }: { result: WhatIfResult }) {
  const cash = ["profit", "cash", "settled", "shortfall"] as const;
  const rows = [
    ...cash.map((name) => ({
      name,
      real: format.signed(result[name].real),
      edited: format.signed(result[name].edited),
    })),
    { name: "fills", real: String(result.fills.real), edited: String(result.fills.edited) },
    ...Object.entries(result.positions).map(([name, it]) => ({
      name,
      real: format.amount(it.real),
      edited: format.amount(it.edited),
    })),
  ];
  return (
    <>
      <Table
        name="what-if"
        rows={rows}
        keyOf={(it) => it.name}
        empty=""
        columns={[
          { name: "of the account", show: (it) => it.name, value: (it) => it.name },
          { name: "as it was", show: (it) => it.real, value: (it) => it.real },
          { name: "as it would be", show: (it) => it.edited, value: (it) => it.edited },
        ]}
      />
      <p class="hint">
        {result.commands.toLocaleString("en-US")} commands compared, {result.changed.toLocaleString("en-US")} with
        another outcome
        {result.first_seq === null ? "" : `, the first one at seq ${result.first_seq.toLocaleString("en-US")}`}.
      </p>
    </>
  );
}
