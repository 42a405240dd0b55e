// The trades of the chosen instrument, newest first.
import type { Message } from "../api/connection";
import type { Trade } from "../api/types";
import * as format from "../format";
import { Panel } from "../parts/Panel";
import { instrumentId } from "../store/address";
import { at, connection, instrument } from "../store/exchange";
import { useView } from "../store/view";

const SHOWN = 50;

export function foldTrades(trades: Trade[], message: Message): Trade[] {
  const known = trades[0]?.trade_id ?? 0;
  const fresh = (message.data as Trade[]).filter((it) => it.trade_id > known);
  return [...fresh.reverse(), ...trades].slice(0, SHOWN);
}

export function Trades() {
  const id = instrumentId.value;
  const { data, error } = useView<Trade[]>(id === "" ? null : `trades ${id}`, () => ({
    ask: () => connection.request("public/get_trades", { instrument_id: id, count: SHOWN, ...at() }),
    channels: [`trades.${id}`],
    fold: foldTrades,
  }));
  const tick = instrument.value?.tick_size;
  return (
    <Panel title="Trades" area="trades" error={error}>
      <table class="trades">
        <thead>
          <tr>
            <th scope="col">time</th>
            <th scope="col">price</th>
            <th scope="col">size</th>
          </tr>
        </thead>
        <tbody>
          {data?.map((it) => (
            <tr key={it.trade_id} class={it.taker_side}>
              <td>{format.time(it.ts_us)}</td>
              <td>{format.price(it.price, tick)}</td>
              <td>{format.amount(it.size)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {data?.length === 0 && <p class="empty">No trades yet.</p>}
    </Panel>
  );
}
