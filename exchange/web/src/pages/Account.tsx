// The account of the user: margin, Greeks, the transaction log, settlements; and the insurance of the exchange.
import type { Account as AccountOf, Settlement, Transaction, UserSettlement } from "../api/types";
import * as format from "../format";
import { Panel } from "../parts/Panel";
import { Table, type Column } from "../parts/Table";
import { at, connection } from "../store/exchange";
import { useTick } from "../store/tick";
import { useView } from "../store/view";
import { moment } from "../store/address";

const COUNT = 1_000;

export function Account() {
  const user = connection.user.value;
  if (user === "")
    return (
      <div class="page account">
        <Panel title="Account" area="margin">
          <p class="empty">Log in to see your account.</p>
        </Panel>
        <Market />
      </div>
    );
  return (
    <div class="page account">
      <Margin user={user} />
      <Transactions user={user} />
      <Settlements user={user} />
      <Market />
    </div>
  );
}

function Margin({ user }: { user: string }) {
  const tick = useTick();
  const { data, error } = useView<AccountOf>(
    `account ${user}`,
    () => ({ ask: () => connection.request("private/get_account", at()) }),
    moment.value === null ? tick : 0,
  );
  return (
    <Panel title={`Account of ${user}`} area="margin" error={error}>
      {data !== undefined && <Figures account={data} />}
    </Panel>
  );
}

/** How much of the cash is locked, and how much is needed to keep the positions, as shares of it. */
export function sharesOf(account: Pick<AccountOf, "available" | "locked" | "maintenance">): {
  locked: number;
  maintenance: number;
} {
  const cash = account.available + account.locked;
  const share = (part: number) => (cash <= 0 ? (part > 0 ? 1 : 0) : Math.min(1, part / cash));
  return { locked: share(account.locked), maintenance: share(account.maintenance) };
}

function Figures({ account }: { account: AccountOf }) {
  const shares = sharesOf(account);
  const limits = account.limits;
  return (
    <>
      {account.suspended && <p class="warning">This account is suspended: it can only cancel orders.</p>}
      {account.maintenance > account.available + account.locked && (
        <p class="warning">The cash is below the maintenance margin: the exchange reduces the positions.</p>
      )}
      <dl class="figures">
        <dt>equity</dt>
        <dd data-field="equity">{format.cash(account.equity)} USDC</dd>
        <dt>cash</dt>
        <dd data-field="cash">{format.cash(account.available + account.locked)} USDC</dd>
        <dt>available</dt>
        <dd data-field="available">{format.cash(account.available)} USDC</dd>
        <dt>locked (initial margin)</dt>
        <dd data-field="locked">{format.cash(account.locked)} USDC</dd>
        <dt>maintenance margin</dt>
        <dd data-field="maintenance">{format.cash(account.maintenance)} USDC</dd>
        <dt>profit, of open positions</dt>
        <dd data-field="unrealised">{format.signed(account.unrealised_pnl)} USDC</dd>
        <dt>profit, of closed ones</dt>
        <dd data-field="realised">{format.signed(account.realised_pnl)} USDC</dd>
        <dt>open orders, at most</dt>
        <dd>{limits.open_orders_max.toLocaleString("en-US")}</dd>
      </dl>
      <Meter name="locked" share={shares.locked} />
      <Meter name="maintenance" share={shares.maintenance} />
      <h3>Greeks</h3>
      <Table
        name="greeks"
        rows={Object.entries(account.greeks)}
        keyOf={([asset]) => asset}
        empty="No positions."
        columns={[
          { name: "asset", show: ([asset]) => asset, value: ([asset]) => asset },
          ...(["delta", "gamma", "vega", "theta", "rho"] as const).map(
            (greek): Column<[string, AccountOf["greeks"][string]]> => ({
              name: greek,
              show: ([, greeks]) => format.fixed(greeks[greek], 4),
              value: ([, greeks]) => greeks[greek],
            }),
          ),
        ]}
      />
    </>
  );
}

/** A share of the cash as a bar. */
function Meter({ name, share }: { name: string; share: number }) {
  return (
    <div class="meter">
      <span>{name}</span>
      <meter aria-label={`${name}, as a share of the cash`} min={0} max={1} high={0.8} value={share} />
      <span>{format.percent(share)}</span>
    </div>
  );
}

function Transactions({ user }: { user: string }) {
  const tick = useTick();
  const { data, error } = useView<Transaction[]>(
    `transactions ${user}`,
    () => ({
      ask: async () =>
        (await connection.request("private/get_transaction_log", { count: COUNT, ...at() })).transactions,
    }),
    moment.value === null ? tick : 0,
  );
  return (
    <Panel title="Transactions" area="transactions" error={error}>
      <Table
        name="transactions"
        rows={data ?? []}
        keyOf={(it) => it.id}
        empty="No transactions."
        columns={[
          { name: "time", show: (it) => format.dateTime(it.ts_us), value: (it) => it.ts_us },
          { name: "seq", show: (it) => it.seq, value: (it) => it.seq },
          { name: "type", show: (it) => it.type.replaceAll("_", " "), value: (it) => it.type },
          { name: "instrument", show: (it) => it.instrument_id ?? "", value: (it) => it.instrument_id },
          {
            name: "change",
            show: (it) => format.signed(it.change),
            value: (it) => it.change,
            class: (it) => (it.change < 0 ? "ask" : "bid"),
          },
          { name: "fee", show: (it) => format.cash(it.fee), value: (it) => it.fee },
          { name: "balance", show: (it) => format.cash(it.balance), value: (it) => it.balance },
        ]}
      />
    </Panel>
  );
}

function Settlements({ user }: { user: string }) {
  const { data, error } = useView<UserSettlement[]>(`own settlements ${user}`, () => ({
    ask: () => connection.request("private/get_settlements", { count: 100, ...at() }),
  }));
  return (
    <Panel title="Own settlements" area="own-settlements" error={error}>
      <Table
        name="settlements"
        rows={data ?? []}
        keyOf={(it) => `${it.seq} ${it.instrument_id}`}
        empty="None of your positions has been settled."
        columns={[
          { name: "time", show: (it) => format.dateTime(it.ts_us), value: (it) => it.ts_us },
          { name: "instrument", show: (it) => it.instrument_id, value: (it) => it.instrument_id },
          { name: "quantity", show: (it) => format.amount(it.quantity), value: (it) => it.quantity },
          { name: "delivery price", show: (it) => format.cash(it.delivery_price), value: (it) => it.delivery_price },
          { name: "payout", show: (it) => format.signed(it.payout), value: (it) => it.payout },
          { name: "fee", show: (it) => format.cash(it.fee), value: (it) => it.fee },
        ]}
      />
    </Panel>
  );
}

function Market() {
  const tick = useTick();
  const again = moment.value === null ? tick : 0;
  const { data: insurance, error } = useView<{ balance: number }>(
    "insurance",
    () => ({ ask: () => connection.request("public/get_insurance", at()) }),
    again,
  );
  const { data: settled } = useView<Settlement[]>(
    "settlements",
    () => ({ ask: () => connection.request("public/get_settlements", { count: 100, ...at() }) }),
    again,
  );
  return (
    <Panel title="Insurance and settlements" area="market" error={error}>
      <dl class="figures">
        <dt>insurance</dt>
        <dd data-field="insurance">{format.cash(insurance?.balance)} USDC</dd>
      </dl>
      <Table
        name="delivery-prices"
        rows={settled ?? []}
        keyOf={(it) => `${it.asset} ${it.expiration}`}
        empty="No series has been settled."
        columns={[
          {
            name: "expiration",
            show: (it) => format.date(it.expiration * 1_000_000),
            value: (it) => it.expiration,
          },
          { name: "asset", show: (it) => it.asset, value: (it) => it.asset },
          { name: "delivery price", show: (it) => format.cash(it.delivery_price), value: (it) => it.delivery_price },
          { name: "state", show: (it) => it.state, value: (it) => it.state },
        ]}
      />
    </Panel>
  );
}
