// The order book of the chosen instrument: depth bars, cumulative sizes, own orders.
import type { BookLevel, Order } from "../api/types";
import * as format from "../format";
import { Panel } from "../parts/Panel";
import { at, connection, instrument } from "../store/exchange";
import { instrumentId } from "../store/address";
import { draft } from "../store/draft";
import { foldBook, type Book } from "../store/book";
import { useView } from "../store/view";

const LEVELS_SHOWN = 12;
const DEPTH = 100;

export function useBook() {
  const id = instrumentId.value;
  return useView<Book>(id === "" ? null : `book ${id}`, () => ({
    ask: () => connection.request("public/get_order_book", { instrument_id: id, depth: DEPTH, ...at() }),
    channels: [`book.${id}.${DEPTH}`],
    fold: foldBook,
  }));
}

interface Line extends BookLevel {
  cumulative: number;
  own: number;
}

export function linesOf(levels: BookLevel[], own: Order[]): Line[] {
  let cumulative = 0;
  return levels.slice(0, LEVELS_SHOWN).map((level) => {
    cumulative += level.size;
    const mine = own.filter((it) => it.price === level.price).reduce((sum, it) => sum + it.remaining, 0);
    return { ...level, cumulative, own: mine };
  });
}

export function OrderBook({ orders }: { orders: Order[] }) {
  const { data: book, error } = useBook();
  const tick = instrument.value?.tick_size ?? 10_000;
  const own = orders.filter((it) => it.instrument_id === instrumentId.value && it.status !== "untriggered");
  const asks = linesOf(
    book?.asks ?? [],
    own.filter((it) => it.side === "ask"),
  );
  const bids = linesOf(
    book?.bids ?? [],
    own.filter((it) => it.side === "bid"),
  );
  const most = Math.max(asks.at(-1)?.cumulative ?? 0, bids.at(-1)?.cumulative ?? 0, 1);
  const spread = asks[0] && bids[0] ? format.price(asks[0].price - bids[0].price, tick) : "–";
  const rows = (lines: Line[], side: "ask" | "bid") =>
    lines.map((it) => (
      <tr key={it.price} class={side}>
        <td>
          <button
            type="button"
            class="price"
            aria-label={`${side} ${format.price(it.price, tick)}`}
            onClick={() => {
              draft.price.value = format.price(it.price, tick).replaceAll(",", "");
              draft.side.value = side === "ask" ? "bid" : "ask";
            }}
          >
            {format.price(it.price, tick)}
          </button>
          {it.own > 0 && (
            <span class="mark-order" title={`your orders: ${format.amount(it.own)}`}>
              ●
            </span>
          )}
        </td>
        <td>{format.amount(it.size)}</td>
        <td class="cumulative">
          <svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
            <rect width={(it.cumulative / most) * 100} height="1" />
          </svg>
          <span>{format.amount(it.cumulative)}</span>
        </td>
      </tr>
    ));
  return (
    <Panel title="Order book" area="book" error={error}>
      <table class="book">
        <thead>
          <tr>
            <th scope="col">price</th>
            <th scope="col">size</th>
            <th scope="col">sum</th>
          </tr>
        </thead>
        <tbody>
          {rows([...asks].reverse(), "ask")}
          <tr class="spread">
            <td colSpan={3}>spread {spread}</td>
          </tr>
          {rows(bids, "bid")}
        </tbody>
      </table>
    </Panel>
  );
}
