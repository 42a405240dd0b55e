// For the administrator: index prices, halts, rules, accounts, and how the exchange is. Every act is a recorded command.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { MethodName } from "../api/connection";
import type { AccountSummary, IndexPrice, Rules, RulesResult } from "../api/types";
import * as format from "../format";
import { Confirm } from "../parts/Confirm";
import { Panel } from "../parts/Panel";
import { Table } from "../parts/Table";
import { moment } from "../store/address";
import { assets, at, connection, isAdmin, status, wordsOf } from "../store/exchange";
import { differences } from "../store/rules_diff";
import { toast } from "../store/toasts";
import { useView } from "../store/view";

const EVERY_MS = 2_000;
const ACCOUNTS_PAGE = 1_000;

/** What the administrator is about to do. */
interface Act {
  question: string;
  yes: string;
  method: MethodName;
  params: object;
}

export function Operate() {
  const again = useSignal(0);
  const act = useSignal<Act | null>(null);
  useEffect(() => {
    const timer = setInterval(() => (again.value += 1), EVERY_MS);
    return () => clearInterval(timer);
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  if (!isAdmin.value)
    return (
      <div class="page operate">
        <Panel title="Operate" area="login">
          <p>
            This page is for the administrator. Log in as <code>admin</code> with the secret in the file{" "}
            <code>JOURNAL.admin</code> next to the journal, or with a key that has the right <code>admin</code>.
          </p>
        </Panel>
      </div>
    );
  const carryOut = async ({ method, params, yes }: Act) => {
    act.value = null;
    try {
      await connection.request(method, params);
      toast("good", `Done: ${yes.toLowerCase()}`);
    } catch (error) {
      toast("bad", `Refused: ${wordsOf(error)}`);
    }
    again.value += 1;
  };
  const ask = (wanted: Act) => (act.value = wanted);
  const tick = moment.value === null ? again.value : 0;
  return (
    <div class="page operate">
      <Health tick={tick} />
      <Trading ask={ask} />
      <Indexes tick={tick} ask={ask} />
      <RulesPanel tick={tick} ask={ask} />
      <Accounts tick={tick} ask={ask} />
      {act.value !== null && (
        <Confirm
          question={act.value.question}
          yes={act.value.yes}
          onYes={() => act.value !== null && void carryOut(act.value)}
          onNo={() => (act.value = null)}
        />
      )}
    </div>
  );
}

interface PartProps {
  tick: number;
  ask: (act: Act) => void;
}

function Trading({ ask }: Pick<PartProps, "ask">) {
  const isHalted = status.value?.halted === true;
  const chosen = useSignal("");
  const asset = chosen.value || (assets.value[0] ?? "");
  return (
    <Panel title="Trading" area="trading">
      <p data-field="halted">{isHalted ? "The exchange is halted." : "The exchange is open."}</p>
      <p class="buttons">
        {isHalted ? (
          <button
            type="button"
            onClick={() =>
              ask({
                question: "End the halt? Trading resumes; each asset reopens after its next index price.",
                yes: "End the halt",
                method: "admin/end_halt",
                params: {},
              })
            }
          >
            End the halt
          </button>
        ) : (
          <button
            type="button"
            onClick={() =>
              ask({
                question: "Halt the exchange? Until the end of the halt, only cancelling and reading are possible.",
                yes: "Halt the exchange",
                method: "admin/halt",
                params: {},
              })
            }
          >
            Halt the exchange
          </button>
        )}
      </p>
      {assets.value.length > 0 && (
        <p class="buttons">
          <select
            aria-label="Asset to pause"
            value={asset}
            onChange={(event) => (chosen.value = event.currentTarget.value)}
          >
            {assets.value.map((it) => (
              <option key={it}>{it}</option>
            ))}
          </select>
          {(["pause", "resume"] as const).map((verb) => (
            <button
              key={verb}
              type="button"
              onClick={() =>
                ask({
                  question:
                    verb === "pause"
                      ? `Pause all options on ${asset}? New orders and edits are refused.`
                      : `Resume all options on ${asset}?`,
                  yes: `${verb === "pause" ? "Pause" : "Resume"} ${asset}`,
                  method: `admin/${verb}`,
                  params: { asset },
                })
              }
            >
              {verb === "pause" ? "Pause" : "Resume"} {asset}
            </button>
          ))}
        </p>
      )}
      {(status.value?.reopening ?? []).length > 0 && (
        <p class="hint">Reopening: {status.value?.reopening.map((it) => it.asset).join(", ")}</p>
      )}
    </Panel>
  );
}

function Indexes({ tick, ask }: PartProps) {
  const { data, error } = useView<IndexPrice[]>(
    "indexes",
    () => ({ ask: () => connection.request("public/get_index_prices", at()) }),
    tick,
  );
  const typed = useSignal<ReadonlyMap<string, string>>(new Map());
  const shown = new Map((data ?? []).map((it) => [it.asset, it]));
  const names = [...new Set([...shown.keys(), ...assets.value])].sort();
  const set = (event: Event, asset: string) => {
    event.preventDefault();
    const text = typed.value.get(asset) ?? "";
    const price = format.parsePrice(text);
    if (price === null) {
      toast("bad", `The index of ${asset} is a number of USDC, such as 151.20.`);
      return;
    }
    ask({
      question: `Set the index of ${asset} to ${format.price(price)} USDC? It moves marks and margins, and may liquidate.`,
      yes: `Set the index of ${asset} to ${format.price(price)}`,
      method: "admin/set_index_price",
      params: { asset, price },
    });
  };
  return (
    <Panel title="Index prices" area="indexes" error={error}>
      {names.length === 0 && <p class="empty">No option is listed, and no rule lists any.</p>}
      {names.map((asset) => (
        <form key={asset} class="buttons" onSubmit={(event) => set(event, asset)}>
          <b>{asset}</b>
          <span data-index={asset}>{format.cash(shown.get(asset)?.price)}</span>
          <small>{format.time(shown.get(asset)?.ts_us)}</small>
          <input
            aria-label={`New index of ${asset}, in USDC`}
            inputMode="decimal"
            size={10}
            value={typed.value.get(asset) ?? ""}
            onInput={(event) => (typed.value = new Map(typed.value).set(asset, event.currentTarget.value))}
          />
          <button type="submit">Set</button>
        </form>
      ))}
    </Panel>
  );
}

function RulesPanel({ tick, ask }: PartProps) {
  const { data, error } = useView<RulesResult>(
    "rules",
    () => ({ ask: () => connection.request("public/get_rules", at()) }),
    tick,
  );
  // What was typed; null: nothing yet, so that the box shows the rules in force.
  const typed = useSignal<string | null>(null);
  const problem = useSignal("");
  const inForce = data === undefined ? "" : JSON.stringify(data.rules, null, 2);
  const text = typed.value ?? inForce;
  let wanted: Rules | null = null;
  try {
    wanted = JSON.parse(text) as Rules;
  } catch {
    // The page says so below.
  }
  const changes = wanted === null || data === undefined ? [] : differences(data.rules, wanted);
  const check = async () => {
    if (wanted === null) return;
    problem.value = "";
    try {
      const found = await connection.request("admin/set_rules", { rules: wanted, dry_run: true });
      const liquidated = "liquidated" in found ? found.liquidated : [];
      const effect =
        liquidated.length === 0
          ? "It liquidates nobody."
          : `It liquidates ${liquidated.length} accounts: ${liquidated.slice(0, 10).join(", ")}.`;
      ask({
        question: `Change ${changes.length} rules? ${effect}`,
        yes: `Change ${changes.length} rules`,
        method: "admin/set_rules",
        params: { rules: wanted },
      });
    } catch (failure) {
      problem.value = wordsOf(failure);
    }
  };
  return (
    <Panel title={`Rules, version ${data?.rules_version ?? "–"}`} area="rules" error={error}>
      <textarea
        aria-label="Rules, as JSON"
        class="rules"
        rows={16}
        spellcheck={false}
        value={text}
        onInput={(event) => (typed.value = event.currentTarget.value)}
      />
      {text !== "" && wanted === null && <p class="error">This is not JSON.</p>}
      {problem.value !== "" && <p class="error">{problem.value}</p>}
      {changes.length > 0 && (
        <Table
          name="rule-changes"
          rows={changes}
          keyOf={(it) => it.rule}
          empty=""
          columns={[
            { name: "rule", show: (it) => it.rule, value: (it) => it.rule },
            { name: "now", show: (it) => it.before, value: (it) => it.before },
            { name: "then", show: (it) => it.after, value: (it) => it.after },
          ]}
        />
      )}
      <p class="buttons">
        <button type="button" disabled={changes.length === 0} onClick={() => void check()}>
          Check and change
        </button>
        {typed.value !== null && (
          <button type="button" onClick={() => (typed.value = null)}>
            Show the rules in force
          </button>
        )}
      </p>
    </Panel>
  );
}

function Accounts({ tick, ask }: PartProps) {
  const { data, error } = useView<AccountSummary[]>(
    "accounts",
    () => ({ ask: async () => (await connection.request("admin/get_accounts", { count: ACCOUNTS_PAGE })).accounts }),
    tick,
  );
  const user = useSignal("");
  const amount = useSignal("");
  const known = data?.find((it) => it.user_id === user.value);
  const pay = (verb: "deposit" | "withdraw") => {
    const micros = format.parsePrice(amount.value);
    if (micros === null || micros === 0) {
      toast("bad", "The amount is a number of USDC, such as 1000.");
      return;
    }
    ask({
      question: `${verb === "deposit" ? "Deposit" : "Withdraw"} ${format.cash(micros)} USDC for ${user.value}?`,
      yes: verb === "deposit" ? "Deposit" : "Withdraw",
      method: `admin/${verb}`,
      params: { user_id: user.value, amount: micros },
    });
  };
  const isMissing = user.value === "";
  return (
    <Panel title="Accounts" area="accounts" error={error}>
      <p class="buttons">
        <input
          aria-label="User"
          placeholder="user"
          value={user.value}
          onInput={(event) => (user.value = event.currentTarget.value.trim())}
        />
        <input
          aria-label="Amount in USDC"
          placeholder="USDC"
          inputMode="decimal"
          size={10}
          value={amount.value}
          onInput={(event) => (amount.value = event.currentTarget.value)}
        />
        <button type="button" disabled={isMissing} onClick={() => pay("deposit")}>
          Deposit
        </button>
        <button type="button" disabled={isMissing} onClick={() => pay("withdraw")}>
          Withdraw
        </button>
        <button
          type="button"
          disabled={isMissing}
          onClick={() =>
            ask({
              question: `Cancel all open orders of ${user.value}?`,
              yes: "Cancel the orders",
              method: "admin/cancel_all",
              params: { user_id: user.value },
            })
          }
        >
          Cancel orders
        </button>
        <button
          type="button"
          disabled={isMissing}
          onClick={() =>
            ask(
              known?.suspended === true
                ? {
                    question: `Let ${user.value} trade again?`,
                    yes: "Reinstate",
                    method: "admin/reinstate",
                    params: { user_id: user.value },
                  }
                : {
                    question: `Suspend ${user.value}? The user can only cancel orders then.`,
                    yes: "Suspend",
                    method: "admin/suspend",
                    params: { user_id: user.value },
                  },
            )
          }
        >
          {known?.suspended === true ? "Reinstate" : "Suspend"}
        </button>
      </p>
      <Table
        name="accounts"
        rows={data ?? []}
        keyOf={(it) => it.user_id}
        empty="No accounts."
        columns={[
          {
            name: "user",
            show: (it) => (
              <button type="button" class="link" onClick={() => (user.value = it.user_id)}>
                {it.user_id}
              </button>
            ),
            value: (it) => it.user_id,
          },
          { name: "available", show: (it) => format.cash(it.available), value: (it) => it.available },
          { name: "locked", show: (it) => format.cash(it.locked), value: (it) => it.locked },
          { name: "maintenance", show: (it) => format.cash(it.maintenance), value: (it) => it.maintenance },
          { name: "shortfall", show: (it) => format.cash(it.shortfall), value: (it) => it.shortfall },
          { name: "open orders", show: (it) => it.open_orders, value: (it) => it.open_orders },
          { name: "state", show: (it) => (it.suspended ? "suspended" : "open"), value: (it) => it.suspended },
        ]}
      />
      {data?.length === ACCOUNTS_PAGE && (
        <p class="hint">The first {ACCOUNTS_PAGE.toLocaleString("en-US")} accounts; type the user for others.</p>
      )}
    </Panel>
  );
}

type Metrics = Record<string, number | boolean | null>;

/** The figures that an operator looks at first: what, how much, and whether it is a reason to worry. */
export function healthOf(metrics: Metrics): { name: string; text: string; isBad: boolean }[] {
  const number = (name: string) => Number(metrics[name] ?? 0);
  const bytes = (count: number) =>
    count >= 2 ** 30 ? `${(count / 2 ** 30).toFixed(1)} GiB` : `${(count / 2 ** 20).toFixed(1)} MiB`;
  const files = ["journal", "history", "snapshots", "archives"].map((it) =>
    number(`exchange_file_bytes{files="${it}"}`),
  );
  const lag = number("exchange_history_lag_commands");
  const free = number("exchange_disk_free_bytes");
  const full = metrics["exchange_disk_full_seconds"];
  return [
    {
      name: "ready to trade",
      text: metrics["exchange_ready"] === true ? "yes" : "no",
      isBad: metrics["exchange_ready"] !== true,
    },
    {
      name: "journal",
      text:
        metrics["exchange_journal_unavailable"] === true
          ? "cannot be written"
          : `seq ${number("exchange_journal_seq").toLocaleString("en-US")}`,
      isBad: metrics["exchange_journal_unavailable"] === true,
    },
    {
      name: "alarm of the follower",
      text: metrics["exchange_follower_alarm"] === true ? "the digests differ: exchange journal verify" : "none",
      isBad: metrics["exchange_follower_alarm"] === true,
    },
    { name: "history is behind by", text: `${lag.toLocaleString("en-US")} commands`, isBad: lag > 10_000 },
    { name: "last snapshot", text: `seq ${number("exchange_snapshot_seq").toLocaleString("en-US")}`, isBad: false },
    {
      name: "disk",
      text: `${bytes(free)} free${typeof full === "number" ? `, full in ${Math.round(full / 3600)} h` : ""}`,
      isBad: free < 2 ** 30,
    },
    { name: "files", text: bytes(files.reduce((sum, it) => sum + it, 0)), isBad: false },
    { name: "log of the journal (-wal)", text: bytes(number("exchange_wal_bytes")), isBad: false },
    { name: "connections", text: String(number("exchange_connected_clients")), isBad: false },
    { name: "open orders", text: number("exchange_open_orders").toLocaleString("en-US"), isBad: false },
    { name: "waiting commands", text: number("exchange_queue_commands").toLocaleString("en-US"), isBad: false },
    { name: "memory", text: bytes(number("process_resident_memory_bytes")), isBad: false },
    {
      name: "clock jump",
      text: `${number("exchange_clock_jump_seconds")} s`,
      isBad: Math.abs(number("exchange_clock_jump_seconds")) > 1,
    },
  ];
}

function Health({ tick }: Pick<PartProps, "tick">) {
  const { data, error } = useView<Metrics>(
    "metrics",
    () => ({ ask: async () => (await connection.request("admin/get_metrics", {})).metrics }),
    tick,
  );
  return (
    <Panel title="Health" area="health" error={error}>
      {moment.value !== null && <p class="hint">These figures are of now: the past has none.</p>}
      <dl class="figures">
        {data !== undefined &&
          healthOf(data).flatMap((it) => [
            <dt key={`${it.name} name`}>{it.name}</dt>,
            <dd key={it.name} class={it.isBad ? "error" : ""}>
              {it.text}
            </dd>,
          ])}
      </dl>
    </Panel>
  );
}
