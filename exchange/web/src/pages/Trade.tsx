import { Chain, useTickers } from "../panels/Chain";
import { Chart } from "../panels/Chart";
import { OpenOrders } from "../panels/OpenOrders";
import { OrderBook } from "../panels/OrderBook";
import { OrderForm } from "../panels/OrderForm";
import { Positions } from "../panels/Positions";
import { Fills, History } from "../panels/Records";
import { Trades } from "../panels/Trades";
import { Tabs } from "../parts/Tabs";
import { instrumentId } from "../store/address";
import { asset, connection } from "../store/exchange";
import { useOpenOrders, usePositions } from "../store/orders";
import { useTick } from "../store/tick";

const NONE: never[] = [];

export function Trade() {
  const orders = useOpenOrders().data ?? NONE;
  const positions = usePositions(useTick()).data ?? NONE;
  const { data: tickers } = useTickers(asset.value);
  const isKnown = connection.user.value !== "";
  const guest = <p class="empty">Log in to see your account.</p>;
  return (
    <div class="page trade">
      <Chain orders={orders} positions={new Map(positions.map((it) => [it.instrument_id, it.quantity]))} />
      <OrderForm ticker={tickers?.get(instrumentId.value)} />
      <Chart />
      <OrderBook orders={orders} />
      <Trades />
      <Tabs
        area="mine"
        label="Your account"
        tabs={[
          {
            name: `Orders (${orders.length})`,
            content: () => (isKnown ? <OpenOrders orders={orders} /> : guest),
          },
          { name: "Positions", content: () => (isKnown ? <Positions positions={positions} /> : guest) },
          { name: "Order history", content: () => (isKnown ? <History /> : guest) },
          { name: "Fills", content: () => (isKnown ? <Fills /> : guest) },
        ]}
      />
    </div>
  );
}
