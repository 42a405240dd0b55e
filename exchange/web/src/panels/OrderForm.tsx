// The order form, with what the order would lock, pay and leave: a dry run of the exchange itself.
import { computed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Params } from "../api/connection";
import type { DryRunResult, Ticker } from "../api/types";
import * as format from "../format";
import { Panel } from "../parts/Panel";
import { connection, instrument, whyNoOrder, wordsOf, tickOf } from "../store/exchange";
import { draft, type OrderType } from "../store/draft";
import { toast } from "../store/toasts";

const TYPES: Record<OrderType, string> = {
  limit: "limit",
  market: "market",
  stop_market: "stop market",
  stop_limit: "stop limit",
  take_market: "take profit market",
  take_limit: "take profit limit",
};
const LIVES = {
  gtc: "good til cancelled",
  day: "good til day",
  ioc: "immediate or cancel",
  fok: "fill or kill",
} as const;
const TRIGGERS = { index_price: "index", mark_price: "mark", last_price: "last trade" } as const;
const DRY_RUN_AFTER_MS = 250;
const DRY_RUN_EVERY_MS = 1_000;

const isTrigger = computed(() => !["limit", "market"].includes(draft.type.value));
const hasPrice = computed(() => draft.type.value === "limit" || draft.type.value.endsWith("_limit"));

/** The parameters of the request; a text says what is missing or wrong. */
export const request = computed((): Params<"private/buy"> | string => {
  const it = instrument.value;
  if (it === undefined) return "Choose an instrument in the chain.";
  const amount = format.parseAmount(draft.amount.value);
  if (amount === null || amount === 0) return `Amount: a number of contracts, such as ${format.amount(it.min_size)}.`;
  const params: Params<"private/buy"> = {
    instrument_id: it.instrument_id,
    amount,
    type: draft.type.value,
    reduce_only: draft.reduceOnly.value,
  };
  if (draft.label.value !== "") params.label = draft.label.value;
  if (hasPrice.value) {
    const price = format.parsePrice(draft.price.value);
    if (price === null) return "Price: a number in USDC, such as 2.50.";
    params.price = price;
    params.post_only = draft.postOnly.value;
    if (!isTrigger.value || draft.timeInForce.value !== "gtc") params.time_in_force = draft.timeInForce.value;
  }
  if (isTrigger.value) {
    const triggerPrice = format.parsePrice(draft.triggerPrice.value);
    if (triggerPrice === null) return "Trigger price: a number in USDC.";
    params.trigger_price = triggerPrice;
    params.trigger = draft.trigger.value;
  }
  return params;
});

const method = computed(() => (draft.side.value === "bid" ? "private/buy" : "private/sell"));

export function OrderForm({ ticker }: { ticker: Ticker | undefined }) {
  const outcome = useSignal<DryRunResult | null>(null);
  const problem = useSignal("");
  const isSending = useSignal(false);
  const asked = request.value;
  const key = JSON.stringify([asked, method.value, whyNoOrder.value]);
  // The market moves on while the order stays as it is.
  const again = useSignal(0);
  useEffect(() => {
    const timer = setInterval(() => (again.value += 1), DRY_RUN_EVERY_MS);
    return () => clearInterval(timer);
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  useEffect(() => {
    outcome.value = null;
    problem.value = "";
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [key]);
  useEffect(() => {
    if (typeof asked === "string" || whyNoOrder.value !== "") return undefined;
    let isEnded = false;
    const timer = setTimeout(() => {
      connection.request(method.value, { ...asked, dry_run: true }).then(
        (result) => {
          if (isEnded) return;
          outcome.value = result as DryRunResult;
          problem.value = "";
        },
        (error: unknown) => {
          if (isEnded) return;
          outcome.value = null;
          problem.value = wordsOf(error);
        },
      );
    }, DRY_RUN_AFTER_MS);
    return () => {
      isEnded = true;
      clearTimeout(timer);
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [key, again.value]);

  const it = instrument.value;
  const send = async (event: Event) => {
    event.preventDefault();
    if (typeof asked === "string") {
      problem.value = asked;
      return;
    }
    isSending.value = true;
    try {
      const result = await connection.request(method.value, asked);
      const { order } = result;
      toast("info", `Order ${order.order_id} is ${order.status.replaceAll("_", " ")}`);
    } catch (error) {
      toast("bad", `Refused: ${wordsOf(error)}`);
      problem.value = wordsOf(error);
    } finally {
      isSending.value = false;
    }
  };
  const isBuy = draft.side.value === "bid";
  const outside = typeof asked !== "string" && asked.price != null && bandWarning(asked.price, ticker, it?.tick_size);
  return (
    <Panel title="Order" area="form">
      <form class="order-form" onSubmit={(event) => void send(event)}>
        <p class="form-instrument">{it?.instrument_id ?? "no instrument"}</p>
        <div class="sides" role="group" aria-label="Side">
          <button
            type="button"
            id="side-buy"
            class="buy"
            aria-pressed={isBuy}
            onClick={() => (draft.side.value = "bid")}
          >
            Buy
          </button>
          <button
            type="button"
            id="side-sell"
            class="sell"
            aria-pressed={!isBuy}
            onClick={() => (draft.side.value = "ask")}
          >
            Sell
          </button>
        </div>
        <label>
          Type
          <select
            value={draft.type.value}
            onChange={(event) => (draft.type.value = event.currentTarget.value as OrderType)}
          >
            {Object.entries(TYPES).map(([value, name]) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <Field name="Amount" unit={`contracts of 1 ${it?.asset ?? ""}`} signal={draft.amount} />
        {isTrigger.value && (
          <>
            <Field name="Trigger price" unit="USDC" signal={draft.triggerPrice} />
            <label>
              Trigger on
              <select
                value={draft.trigger.value}
                onChange={(event) => (draft.trigger.value = event.currentTarget.value as keyof typeof TRIGGERS)}
              >
                {Object.entries(TRIGGERS).map(([value, name]) => (
                  <option key={value} value={value}>
                    {name}
                  </option>
                ))}
              </select>
            </label>
          </>
        )}
        {hasPrice.value && (
          <>
            <Field name="Price" unit="USDC a contract" signal={draft.price} />
            <label>
              Time in force
              <select
                value={draft.timeInForce.value}
                onChange={(event) => (draft.timeInForce.value = event.currentTarget.value as keyof typeof LIVES)}
              >
                {Object.entries(LIVES).map(([value, name]) => (
                  <option key={value} value={value}>
                    {name}
                  </option>
                ))}
              </select>
            </label>
            <Check name="Post only" signal={draft.postOnly} />
          </>
        )}
        <Check name="Reduce only" signal={draft.reduceOnly} />
        <Field name="Label" unit="optional" signal={draft.label} />
        <button
          type="submit"
          class={`send ${isBuy ? "buy" : "sell"}`}
          disabled={whyNoOrder.value !== "" || isSending.value}
        >
          {isBuy ? "Buy" : "Sell"} {it === undefined ? "" : `${draft.amount.value} ${it.instrument_id}`}
        </button>
        <div class="outcome" aria-live="polite">
          {whyNoOrder.value !== "" && <p class="hint">{whyNoOrder.value}</p>}
          {outside !== false && outside !== "" && <p class="warning">{outside}</p>}
          {problem.value !== "" && <p class="error">{problem.value}</p>}
          {outcome.value !== null && <Outcome result={outcome.value} />}
        </div>
      </form>
    </Panel>
  );
}

function bandWarning(price: number, ticker: Ticker | undefined, tick = 10_000): string {
  const low = ticker?.min_price;
  const high = ticker?.max_price;
  if (low != null && price < low) return `The price is below the band, which begins at ${format.price(low, tick)}.`;
  if (high != null && price > high) return `The price is above the band, which ends at ${format.price(high, tick)}.`;
  return "";
}

function Outcome({ result }: { result: DryRunResult }) {
  const { order, trades, balance, position } = result;
  const fees = trades.reduce((sum, it) => sum + it.fee, 0);
  const filled =
    trades.length === 0
      ? "nothing now"
      : `${format.amount(order.filled)} at ${format.price(order.average_price, tickOf(order.instrument_id))}`;
  const ends =
    order.status === "cancelled" ? `; the rest is cancelled (${(order.cancel_reason ?? "").replaceAll("_", " ")})` : "";
  return (
    <dl class="figures">
      <dt>fills</dt>
      <dd>
        {filled}
        {ends}
      </dd>
      <dt>fee</dt>
      <dd>{format.cash(fees)} USDC</dd>
      <dt>available after it</dt>
      <dd>{format.cash(balance.available)} USDC</dd>
      <dt>locked after it</dt>
      <dd>{format.cash(balance.locked)} USDC</dd>
      <dt>position after it</dt>
      <dd>{format.amount(position.quantity)} contracts</dd>
    </dl>
  );
}

interface FieldProps {
  name: string;
  unit: string;
  signal: { value: string };
}

function Field({ name, unit, signal }: FieldProps) {
  return (
    <label>
      {name}
      <span class="field">
        <input
          aria-label={name}
          inputMode={name === "Label" ? "text" : "decimal"}
          maxLength={name === "Label" ? 64 : 18}
          value={signal.value}
          onInput={(event) => (signal.value = event.currentTarget.value)}
        />
        <small>{unit}</small>
      </span>
    </label>
  );
}

function Check({ name, signal }: { name: string; signal: { value: boolean } }) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={signal.value}
        onChange={(event) => (signal.value = event.currentTarget.checked)}
      />
      {name}
    </label>
  );
}
