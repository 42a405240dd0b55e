// The positions of the user, with Greeks and profit, and a button that closes one.
import type { PositionDetails } from "../api/types";
import * as format from "../format";
import { instrumentId } from "../store/address";
import { connection, tickOf, whyNoOrder, wordsOf } from "../store/exchange";
import { toast } from "../store/toasts";

async function close(position: PositionDetails): Promise<void> {
  try {
    const { order } = await connection.request("private/close_position", {
      instrument_id: position.instrument_id,
      type: "market",
    });
    if (order.remaining > 0)
      toast("info", `${format.amount(order.remaining)} contracts could not be closed: the book has no more`);
  } catch (error) {
    toast("bad", `${position.instrument_id} was not closed: ${wordsOf(error)}`);
  }
}

export function Positions({ positions }: { positions: PositionDetails[] }) {
  const held = positions.filter((it) => it.quantity !== 0);
  if (held.length === 0) return <p class="empty">No positions.</p>;
  return (
    <table class="positions">
      <thead>
        <tr>
          {["instrument", "quantity", "average", "mark", "delta", "gamma", "vega", "theta", "margin", "profit"].map(
            (it) => (
              <th key={it} scope="col">
                {it}
              </th>
            ),
          )}
          <th />
        </tr>
      </thead>
      <tbody>
        {held.map((it) => (
          <tr key={it.instrument_id}>
            <td>
              <button type="button" class="link" onClick={() => (instrumentId.value = it.instrument_id)}>
                {it.instrument_id}
              </button>
            </td>
            <td class={it.quantity > 0 ? "bid" : "ask"}>{format.amount(it.quantity)}</td>
            <td>{format.price(it.average_price, tickOf(it.instrument_id))}</td>
            <td>{format.price(it.mark, tickOf(it.instrument_id))}</td>
            <td>{format.fixed(it.greeks?.delta, 3)}</td>
            <td>{format.fixed(it.greeks?.gamma, 4)}</td>
            <td>{format.fixed(it.greeks?.vega, 3)}</td>
            <td>{format.fixed(it.greeks?.theta, 3)}</td>
            <td>{format.cash(it.initial_margin)}</td>
            <td class={(it.total_pnl ?? 0) < 0 ? "ask" : "bid"}>{format.signed(it.total_pnl)}</td>
            <td>
              <button
                type="button"
                disabled={whyNoOrder.value !== ""}
                aria-label={`Close the position in ${it.instrument_id}`}
                onClick={() => void close(it)}
              >
                Close
              </button>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
