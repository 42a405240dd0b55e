// The option chain of one series: calls, strikes, puts.
import { useEffect, useRef } from "preact/hooks";
import type { Instrument, Order, Ticker } from "../api/types";
import type { Message } from "../api/connection";
import * as format from "../format";
import { Panel } from "../parts/Panel";
import { instrumentId } from "../store/address";
import { asset, assets, at, choose, connection, expiration, expirations, instruments } from "../store/exchange";
import { draft } from "../store/draft";
import { useView } from "../store/view";

type Tickers = ReadonlyMap<string, Ticker>;

function foldTickers(tickers: Tickers, message: Message): Tickers {
  const next = new Map(tickers);
  for (const ticker of message.data as Ticker[]) next.set(ticker.instrument_id, ticker);
  return next;
}

/** The tickers of all instruments of an asset. */
export function useTickers(name: string) {
  return useView<Tickers>(name === "" ? null : `tickers ${name}`, () => ({
    ask: async () => {
      const all = await connection.request("public/get_tickers", at());
      return new Map(all.filter((it) => it.instrument_id.startsWith(`${name}_`)).map((it) => [it.instrument_id, it]));
    },
    channels: [`tickers.${name}`],
    fold: foldTickers,
  }));
}

interface Row {
  strike: number;
  call: Instrument | undefined;
  put: Instrument | undefined;
}

export function rowsOf(listed: Instrument[]): Row[] {
  const rows = new Map<number, Row>();
  for (const it of listed) {
    const row = rows.get(it.strike) ?? { strike: it.strike, call: undefined, put: undefined };
    rows.set(it.strike, { ...row, [it.option_type]: it });
  }
  return [...rows.values()].sort((a, b) => a.strike - b.strike);
}

/** Between which strikes the index is: the first strike above it. */
function atTheMoney(rows: Row[], index: number | null | undefined): number | undefined {
  return index == null ? undefined : rows.find((it) => it.strike >= index)?.strike;
}

const COLUMNS = ["bid", "ask", "mark", "IV", "delta", "OI", "volume"];

interface ChainProps {
  orders: Order[];
  positions: ReadonlyMap<string, number>;
}

export function Chain({ orders, positions }: ChainProps) {
  const series = instruments.value.filter((it) => it.asset === asset.value && it.expiration === expiration.value);
  const rows = rowsOf(series);
  const { data: tickers, error } = useTickers(asset.value);
  const index = [...(tickers?.values() ?? [])].find((it) => it.index !== null)?.index;
  const money = atTheMoney(rows, index);
  const body = useRef<HTMLTableSectionElement>(null);
  const shownSeries = `${asset.value} ${expiration.value} ${money ?? ""}`;
  useEffect(() => {
    const row = body.current?.querySelector<HTMLElement>(".is-money");
    const box = row?.closest<HTMLElement>(".panel-body");
    if (row && box) box.scrollTop = row.offsetTop - box.clientHeight / 2;
  }, [shownSeries]);
  const ordered = new Set(orders.map((it) => it.instrument_id));
  const cells = (it: Instrument | undefined, kind: "call" | "put") => {
    const order = kind === "call" ? [...COLUMNS].reverse() : COLUMNS;
    const ticker = it === undefined ? undefined : tickers?.get(it.instrument_id);
    return order.map((column) => (
      <td key={kind + column} class={`${kind} ${column}`}>
        {it !== undefined && <Cell column={column} instrument={it} ticker={ticker} />}
      </td>
    ));
  };
  const marks = (it: Instrument | undefined) => {
    if (it === undefined) return null;
    const quantity = positions.get(it.instrument_id) ?? 0;
    return (
      <>
        {quantity !== 0 && (
          <span class={quantity > 0 ? "mark-position is-long" : "mark-position is-short"} title="your position">
            {format.amount(quantity)}
          </span>
        )}
        {ordered.has(it.instrument_id) && (
          <span class="mark-order" title="your open orders">
            ●
          </span>
        )}
      </>
    );
  };
  return (
    <Panel
      title="Option chain"
      area="chain"
      error={error}
      tools={
        <>
          <select aria-label="Asset" value={asset.value} onChange={(event) => choose(event.currentTarget.value)}>
            {assets.value.map((it) => (
              <option key={it}>{it}</option>
            ))}
          </select>
          <select
            aria-label="Expiration"
            value={expiration.value}
            onChange={(event) => choose(asset.value, Number(event.currentTarget.value))}
          >
            {expirations.value.map((it) => (
              <option key={it} value={it}>
                {format.date(it * 1_000_000)}
              </option>
            ))}
          </select>
          <Search />
          <span class="index">
            index <b>{format.cash(index)}</b>
          </span>
        </>
      }
    >
      <table class="chain">
        <thead>
          <tr>
            <th colSpan={COLUMNS.length} scope="colgroup">
              Calls
            </th>
            <th />
            <th colSpan={COLUMNS.length} scope="colgroup">
              Puts
            </th>
          </tr>
          <tr>
            {[...COLUMNS].reverse().map((it) => (
              <th key={`call${it}`} class={`call ${it}`} scope="col">
                {it}
              </th>
            ))}
            <th scope="col">strike</th>
            {COLUMNS.map((it) => (
              <th key={`put${it}`} class={`put ${it}`} scope="col">
                {it}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {rows.map((row) => (
            <tr
              key={row.strike}
              class={[
                row.strike === money ? "is-money" : "",
                row.call?.instrument_id === instrumentId.value ? "is-call" : "",
                row.put?.instrument_id === instrumentId.value ? "is-put" : "",
              ].join(" ")}
            >
              {cells(row.call, "call")}
              <th scope="row">
                {marks(row.call)}
                <span>{format.price(row.strike)}</span>
                {marks(row.put)}
              </th>
              {cells(row.put, "put")}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length === 0 && <p class="empty">No instruments are listed.</p>}
    </Panel>
  );
}

/** Finds an instrument by its name, of any series. */
function Search() {
  const pick = (event: Event) => {
    const field = event.currentTarget as HTMLInputElement;
    const found = instruments.value.find((it) => it.instrument_id === field.value.trim().toUpperCase());
    if (found === undefined) return;
    instrumentId.value = found.instrument_id;
    field.value = "";
    field.blur();
  };
  return (
    <>
      <input
        id="search"
        type="search"
        size={14}
        aria-label="Search an instrument"
        placeholder="search  /"
        list="instruments"
        onInput={pick}
      />
      <datalist id="instruments">
        {instruments.value.map((it) => (
          <option key={it.instrument_id} value={it.instrument_id} />
        ))}
      </datalist>
    </>
  );
}

interface CellProps {
  column: string;
  instrument: Instrument;
  ticker: Ticker | undefined;
}

function Cell({ column, instrument: it, ticker }: CellProps) {
  switch (column) {
    case "bid":
    case "ask": {
      const shown = column === "bid" ? ticker?.best_bid : ticker?.best_ask;
      const pick = () => {
        instrumentId.value = it.instrument_id;
        draft.side.value = column === "bid" ? "ask" : "bid";
        if (shown != null) draft.price.value = format.price(shown, it.tick_size).replaceAll(",", "");
      };
      const label = `${it.instrument_id} ${column} ${format.price(shown, it.tick_size)}`;
      return (
        <button type="button" class="price" aria-label={label} onClick={pick}>
          {format.price(shown, it.tick_size)}
        </button>
      );
    }
    case "mark":
      return <>{format.price(ticker?.mark, it.tick_size)}</>;
    case "IV":
      return <>{format.percent(ticker?.mark_iv)}</>;
    case "delta":
      return <>{format.fixed(ticker?.greeks?.delta)}</>;
    case "OI":
      return <>{format.rough(ticker?.open_interest)}</>;
    default:
      return <>{format.rough(ticker?.volume_24h)}</>;
  }
}
