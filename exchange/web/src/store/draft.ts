// The order that is being written in the order form. Other panels fill it: a click on a price.
import { signal } from "@preact/signals";
import type { Order } from "../api/types";

export type OrderType = "limit" | "market" | "stop_market" | "stop_limit" | "take_market" | "take_limit";

export const draft = {
  side: signal<Order["side"]>("bid"),
  type: signal<OrderType>("limit"),
  amount: signal("1"),
  price: signal(""),
  triggerPrice: signal(""),
  trigger: signal<"index_price" | "last_price" | "mark_price">("index_price"),
  timeInForce: signal<Order["time_in_force"]>("gtc"),
  postOnly: signal(false),
  reduceOnly: signal(false),
  label: signal(""),
};
