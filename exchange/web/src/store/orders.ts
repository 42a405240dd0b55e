// The open orders and the positions of the user, shared by all panels.
import type { Message } from "../api/connection";
import type { Order, PositionDetails } from "../api/types";
import { moment } from "./address";
import { at, connection } from "./exchange";
import { useView, type View } from "./view";

const OPEN = new Set(["open", "partially_filled", "untriggered"]);

export function foldOrders(orders: Order[], message: Message): Order[] {
  const changed = message.data as Order[];
  const byId = new Map(orders.map((it) => [it.order_id, it]));
  for (const order of changed) {
    if (OPEN.has(order.status)) byId.set(order.order_id, order);
    else byId.delete(order.order_id);
  }
  return [...byId.values()].sort((a, b) => a.order_id - b.order_id);
}

export function useOpenOrders(): View<Order[]> {
  const user = connection.user.value;
  return useView(user === "" ? null : `orders ${user}`, () => ({
    ask: () => connection.request("private/get_open_orders", at()),
    channels: ["user.orders"],
    fold: foldOrders,
  }));
}

/** The positions with Greeks and profit. They are asked again when `tick` changes: marks move them without a message. */
export function usePositions(tick: number): View<PositionDetails[]> {
  const user = connection.user.value;
  return useView<PositionDetails[]>(
    user === "" ? null : `positions ${user}`,
    () => ({ ask: async () => (await connection.request("private/get_positions", at())).positions }),
    moment.value === null ? tick : 0,
  );
}
