// The finished orders and the fills of the user.
import type { Order, UserTrade } from "../api/types";
import * as format from "../format";
import { Table } from "../parts/Table";
import { moment } from "../store/address";
import { at, connection, tickOf } from "../store/exchange";
import { useTick } from "../store/tick";
import { useView } from "../store/view";
import { ExplainButton } from "./Explain";

const COUNT = 100;

const sideOf = (it: Order | UserTrade) => (it.side === "bid" ? "buy" : "sell");

export function History() {
  const tick = useTick();
  const { data, error } = useView<Order[]>(
    `history ${connection.user.value}`,
    () => ({ ask: () => connection.request("private/get_order_history", { count: COUNT, ...at() }) }),
    moment.value === null ? tick : 0,
  );
  if (error !== undefined) return <p class="error">{error.text}</p>;
  return (
    <Table
      name="order-history"
      rows={data ?? []}
      keyOf={(it) => it.order_id}
      empty="No finished orders."
      columns={[
        { name: "time", show: (it) => format.time(it.updated_us), value: (it) => it.updated_us },
        { name: "order", show: (it) => it.order_id, value: (it) => it.order_id },
        { name: "instrument", show: (it) => it.instrument_id, value: (it) => it.instrument_id },
        { name: "side", show: sideOf, value: sideOf, class: (it) => it.side },
        { name: "type", show: (it) => it.type.replaceAll("_", " "), value: (it) => it.type },
        { name: "price", show: (it) => format.price(it.price, tickOf(it.instrument_id)), value: (it) => it.price },
        { name: "size", show: (it) => format.amount(it.size), value: (it) => it.size },
        { name: "filled", show: (it) => format.amount(it.filled), value: (it) => it.filled },
        {
          name: "end",
          show: (it) => (it.cancel_reason ?? it.reject_reason ?? it.status).replaceAll("_", " "),
          value: (it) => it.cancel_reason ?? it.reject_reason ?? it.status,
        },
        { name: "explain", show: (it) => <ExplainButton orderId={it.order_id} /> },
      ]}
    />
  );
}

export function Fills() {
  const tick = useTick();
  const { data, error } = useView<UserTrade[]>(
    `fills ${connection.user.value}`,
    () => ({ ask: () => connection.request("private/get_user_trades", { count: COUNT, ...at() }) }),
    moment.value === null ? tick : 0,
  );
  if (error !== undefined) return <p class="error">{error.text}</p>;
  return (
    <Table
      name="fills"
      rows={data ?? []}
      keyOf={(it) => `${it.trade_id} ${it.order_id}`}
      empty="No fills."
      columns={[
        { name: "time", show: (it) => format.time(it.ts_us), value: (it) => it.ts_us },
        { name: "trade", show: (it) => it.trade_id, value: (it) => it.trade_id },
        { name: "instrument", show: (it) => it.instrument_id, value: (it) => it.instrument_id },
        { name: "side", show: sideOf, value: sideOf, class: (it) => it.side },
        { name: "price", show: (it) => format.price(it.price, tickOf(it.instrument_id)), value: (it) => it.price },
        { name: "size", show: (it) => format.amount(it.size), value: (it) => it.size },
        { name: "fee", show: (it) => format.cash(it.fee), value: (it) => it.fee },
        { name: "as", show: (it) => it.liquidity, value: (it) => it.liquidity },
        { name: "order", show: (it) => it.order_id, value: (it) => it.order_id },
        { name: "explain", show: (it) => <ExplainButton orderId={it.order_id} /> },
      ]}
    />
  );
}
