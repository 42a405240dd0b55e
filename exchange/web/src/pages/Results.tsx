// A first analysis: profit over time in its parts, margins, Greeks, the volatility surface, and what would have been.
import { useSignal } from "@preact/signals";
import type { ProfitHistory, ProfitPoint, Ticker, Timeline } from "../api/types";
import * as format from "../format";
import { WhatIf } from "../panels/WhatIf";
import { LineChart, type LineOf } from "../parts/LineChart";
import { Panel } from "../parts/Panel";
import { Table } from "../parts/Table";
import { moment } from "../store/address";
import { asset, assets, at, choose, connection, instruments, isAdmin } from "../store/exchange";
import { smilesOf } from "../store/smiles";
import { useView } from "../store/view";

const POINTS = 300;
const MICROS = 1_000_000;
const PARTS = ["profit", "trading", "settlement", "fees", "liquidation"] as const;
const LEVELS = ["equity", "locked", "maintenance"] as const;
const GREEKS = ["delta", "gamma", "vega", "theta", "rho"] as const;

const usdc = (micros: number | null) => (micros === null ? null : micros / MICROS);
const linesOf = (
  points: ProfitPoint[],
  names: readonly ((typeof PARTS)[number] | (typeof LEVELS)[number])[],
): LineOf[] => names.map((name) => ({ name, values: points.map((it) => usdc(it[name])) }));

export function Results() {
  const user = connection.user.value;
  return (
    <div class="page results">
      {user === "" ? (
        <Panel title="Profit" area="profit">
          <p class="empty">Log in to see your profit.</p>
        </Panel>
      ) : (
        <Profit user={user} />
      )}
      <Surface />
      <Activity />
      {user !== "" && <WhatIf />}
    </div>
  );
}

function Profit({ user }: { user: string }) {
  const typed = useSignal("");
  const other = isAdmin.value ? typed.value.trim() : "";
  const greek = useSignal<(typeof GREEKS)[number]>("delta");
  const { data, error } = useView<ProfitHistory>(`profit ${user} ${other}`, () => ({
    ask: () =>
      connection.request("private/get_profit_history", {
        points: POINTS,
        ...(other === "" ? {} : { user_id: other }),
        ...at(),
      }),
  }));
  const points = data?.points ?? [];
  const x = points.map((it) => it.ts_us / MICROS);
  const last = points.at(-1);
  return (
    <>
      <Panel
        title={`Profit of ${other || user}`}
        area="profit"
        error={error}
        tools={
          isAdmin.value && (
            <input
              aria-label="Another account"
              placeholder="another account"
              onChange={(event) => (typed.value = event.currentTarget.value)}
            />
          )
        }
      >
        {points.length === 0 ? (
          <p class="empty">Nothing happened in this account yet.</p>
        ) : (
          <>
            <LineChart name="profit" x={x} lines={linesOf(points, PARTS)} isTime unit="USDC" />
            <dl class="figures">
              {PARTS.flatMap((name) => [
                <dt key={`${name} name`}>{name}</dt>,
                <dd key={name} data-field={name}>
                  {format.signed(last?.[name])} USDC
                </dd>,
              ])}
              <dt>deposits and withdrawals</dt>
              <dd data-field="payments">{format.signed(last?.payments)} USDC</dd>
            </dl>
          </>
        )}
      </Panel>
      {points.length > 0 && (
        <Panel title="Equity and margins" area="levels">
          <LineChart name="margins" x={x} lines={linesOf(points, LEVELS)} isTime unit="USDC" />
          <Table
            name="profit-history"
            rows={[...points].reverse()}
            keyOf={(it) => it.seq}
            empty=""
            columns={[
              { name: "time", show: (it) => format.dateTime(it.ts_us), value: (it) => it.ts_us },
              { name: "seq", show: (it) => it.seq, value: (it) => it.seq },
              ...[...LEVELS, ...PARTS].map((name) => ({
                name,
                show: (it: ProfitPoint) => format.cash(it[name]),
                value: (it: ProfitPoint) => it[name],
              })),
            ]}
          />
        </Panel>
      )}
      {points.length > 0 && (
        <Panel
          title="Greeks"
          area="greeks"
          tools={
            <select
              aria-label="Greek"
              value={greek.value}
              onChange={(event) => (greek.value = event.currentTarget.value as (typeof GREEKS)[number])}
            >
              {GREEKS.map((it) => (
                <option key={it}>{it}</option>
              ))}
            </select>
          }
        >
          <LineChart
            name={greek.value}
            x={x}
            lines={assets.value.map((name) => ({
              name,
              values: points.map((it) => it.greeks[name]?.[greek.value] ?? 0),
            }))}
            isTime
            unit={`${greek.value} of all positions`}
          />
        </Panel>
      )}
    </>
  );
}

async function askTickers(asked: object, name: string): Promise<Map<string, Ticker>> {
  const all = await connection.request("public/get_tickers", asked);
  return new Map(all.filter((it) => it.instrument_id.startsWith(`${name}_`)).map((it) => [it.instrument_id, it]));
}

function Surface() {
  const name = asset.value;
  const key = name === "" ? null : `smiles ${name}`;
  const { data: then, error } = useView(key, () => ({ ask: () => askTickers(at(), name) }));
  const { data: now } = useView(key, () => ({ ask: () => askTickers({}, name) }), 0, "now");
  const listed = instruments.value.filter((it) => it.asset === name);
  const { strikes, lines } = smilesOf(listed, then ?? new Map());
  const today = moment.value === null ? [] : smilesOf(listed, now ?? new Map()).lines;
  const nameOf = (expiration: number) => format.date(expiration * MICROS);
  return (
    <Panel
      title={`Volatility surface of ${name || "no asset"}`}
      area="surface"
      error={error}
      tools={
        <select aria-label="Asset" value={name} onChange={(event) => choose(event.currentTarget.value)}>
          {assets.value.map((it) => (
            <option key={it}>{it}</option>
          ))}
        </select>
      }
    >
      {lines.length === 0 ? (
        <p class="empty">No option has a mark price yet.</p>
      ) : (
        <LineChart
          name="volatility"
          x={strikes.map((it) => it / MICROS)}
          lines={[
            ...lines.map((it, n) => ({ name: nameOf(it.expiration), values: it.values, colour: n })),
            ...today.map((it, n) => ({
              name: `${nameOf(it.expiration)}, now`,
              values: it.values,
              isDashed: true,
              colour: n,
            })),
          ]}
          isTime={false}
          unit="percent, by strike in USDC"
        />
      )}
    </Panel>
  );
}

/** How much of what was sent traded: commands for each trade, in all of the journal. */
export function activityOf(timeline: Timeline): {
  commands: number;
  trades: number;
  volume: number;
  ratio: number | null;
} {
  const sum = (of: (it: Timeline["buckets"][number]) => number) =>
    timeline.buckets.reduce((all, it) => all + of(it), 0);
  const commands = sum((it) => it.commands);
  const trades = sum((it) => it.trades);
  return { commands, trades, volume: sum((it) => it.volume), ratio: trades === 0 ? null : commands / trades };
}

function Activity() {
  const { data, error } = useView<Timeline>("activity", () => ({
    ask: () => connection.request("public/get_timeline", { buckets: POINTS, ...at() }),
  }));
  const all = data === undefined ? null : activityOf(data);
  const buckets = data?.buckets ?? [];
  return (
    <Panel title="Activity" area="activity" error={error}>
      {all !== null && buckets.length > 0 && (
        <>
          <LineChart
            name="volume"
            x={buckets.map((it) => it.last_ts_us / MICROS)}
            lines={[{ name: "volume", values: buckets.map((it) => it.volume / 1_000) }]}
            isTime
            unit="contracts, in equal numbers of commands"
          />
          <dl class="figures">
            <dt>commands</dt>
            <dd>{all.commands.toLocaleString("en-US")}</dd>
            <dt>trades</dt>
            <dd>{all.trades.toLocaleString("en-US")}</dd>
            <dt>contracts traded</dt>
            <dd>{format.amount(all.volume)}</dd>
            <dt>commands for each trade</dt>
            <dd>{format.fixed(all.ratio, 1)}</dd>
          </dl>
        </>
      )}
    </Panel>
  );
}
