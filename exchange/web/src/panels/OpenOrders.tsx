// The open orders of the user: edit and cancel in place.
import { useSignal } from "@preact/signals";
import type { Order } from "../api/types";
import * as format from "../format";
import { instrumentId } from "../store/address";
import { connection, tickOf, whyNoTrading, wordsOf } from "../store/exchange";
import { ExplainButton } from "./Explain";
import { toast } from "../store/toasts";

async function cancel(order: Order): Promise<void> {
  try {
    await connection.request("private/cancel", { order_id: order.order_id });
  } catch (error) {
    toast("bad", `Order ${order.order_id} was not cancelled: ${wordsOf(error)}`);
  }
}

async function cancelAll(): Promise<void> {
  try {
    await connection.request("private/cancel_all", {});
  } catch (error) {
    toast("bad", `The orders were not cancelled: ${wordsOf(error)}`);
  }
}

export function OpenOrders({ orders }: { orders: Order[] }) {
  const isDisabled = whyNoTrading.value !== "";
  if (orders.length === 0) return <p class="empty">No open orders.</p>;
  return (
    <table class="orders">
      <thead>
        <tr>
          <th scope="col">order</th>
          <th scope="col">instrument</th>
          <th scope="col">side</th>
          <th scope="col">type</th>
          <th scope="col">price</th>
          <th scope="col">remaining</th>
          <th scope="col">size</th>
          <th scope="col">
            <button type="button" disabled={isDisabled} onClick={() => void cancelAll()}>
              Cancel all
            </button>
          </th>
        </tr>
      </thead>
      <tbody>
        {orders.map((it) => (
          <OrderRow key={it.order_id} order={it} isDisabled={isDisabled} />
        ))}
      </tbody>
    </table>
  );
}

function OrderRow({ order: it, isDisabled }: { order: Order; isDisabled: boolean }) {
  const isEditing = useSignal(false);
  const price = useSignal("");
  const size = useSignal("");
  const begin = () => {
    price.value = it.price === null ? "" : format.price(it.price, tickOf(it.instrument_id)).replaceAll(",", "");
    size.value = format.amount(it.size).replaceAll(",", "");
    isEditing.value = true;
  };
  const save = async () => {
    const newPrice = format.parsePrice(price.value);
    const newSize = format.parseAmount(size.value);
    if (newSize === null || (it.price !== null && newPrice === null)) {
      toast("bad", "Price and size are numbers, such as 2.50 and 1.");
      return;
    }
    try {
      await connection.request("private/edit", {
        order_id: it.order_id,
        amount: newSize,
        ...(newPrice === null ? {} : { price: newPrice }),
      });
      isEditing.value = false;
    } catch (error) {
      toast("bad", `Order ${it.order_id} was not changed: ${wordsOf(error)}`);
    }
  };
  const cells = isEditing.value ? (
    <>
      <td>
        <input
          aria-label="New price"
          value={price.value}
          onInput={(event) => (price.value = event.currentTarget.value)}
        />
      </td>
      <td>{format.amount(it.remaining)}</td>
      <td>
        <input aria-label="New size" value={size.value} onInput={(event) => (size.value = event.currentTarget.value)} />
      </td>
      <td>
        <button type="button" onClick={() => void save()}>
          Save
        </button>
        <button type="button" onClick={() => (isEditing.value = false)}>
          Leave it
        </button>
      </td>
    </>
  ) : (
    <>
      <td>
        {it.trigger_price == null
          ? format.price(it.price, tickOf(it.instrument_id))
          : `waits for ${format.price(it.trigger_price)}`}
      </td>
      <td>{format.amount(it.remaining)}</td>
      <td>{format.amount(it.size)}</td>
      <td>
        <button type="button" disabled={isDisabled} aria-label={`Edit order ${it.order_id}`} onClick={begin}>
          Edit
        </button>
        <ExplainButton orderId={it.order_id} />
        <button
          type="button"
          disabled={isDisabled}
          aria-label={`Cancel order ${it.order_id}`}
          onClick={() => void cancel(it)}
        >
          Cancel
        </button>
      </td>
    </>
  );
  return (
    <tr>
      <td>{it.order_id}</td>
      <td>
        <button type="button" class="link" onClick={() => (instrumentId.value = it.instrument_id)}>
          {it.instrument_id}
        </button>
      </td>
      <td class={it.side}>{it.side === "bid" ? "buy" : "sell"}</td>
      <td>{it.type.replaceAll("_", " ")}</td>
      {cells}
    </tr>
  );
}
