// The login of this page, and what it hears of the exchange from the first moment on.
import { RpcError } from "../api/connection";
import type { Instrument, Order, UserTrade } from "../api/types";
import * as format from "../format";
import { instrumentId, moment } from "./address";
import { assets, at, choose, connection, instruments, isAdmin, status, tickOf, wordsOf } from "./exchange";
import { toast } from "./toasts";
import { effect, signal } from "@preact/signals";

const KEPT = "exchange.login";

/** Log in, and stay so in this tab. Without keys the secret is empty. */
export async function logIn(name: string, secret: string): Promise<void> {
  const { right, user_id } = await connection.login({ client_id: name, client_secret: secret });
  sessionStorage.setItem(KEPT, JSON.stringify([name, secret]));
  // The administrator's own secret is no key, so that its login names no right.
  isAdmin.value = right === "admin" || (right === undefined && user_id === "admin");
}

export function logOut(): void {
  sessionStorage.removeItem(KEPT);
  isAdmin.value = false;
  connection.logout();
}

/** True once the exchange serves other files than those that this page was made of. */
export const isOutdated = signal(false);

/** Open the connection, log in as before, and follow the instruments, the state and the own fills. */
export function start(): void {
  connection.open();
  connection.subscribe("status", () => void loadStatus());
  effect(() => {
    // New series of the assets that are known; a rule may add an asset, which the next page load shows.
    const ends = assets.value.map((it) => connection.subscribe(`instruments.${it}`, () => void loadInstruments(at())));
    return () => ends.forEach((end) => end());
  });
  effect(() => {
    // After each new connection: the exchange may be another version.
    if (connection.generation.value > 1) void compareVersions();
  });
  effect(() => {
    if (connection.generation.value === 0) return;
    void begin();
  });
  effect(() => {
    // The instruments of the chosen moment.
    const asked = at();
    if (connection.generation.value > 0) void loadInstruments(asked);
  });
  effect(() => {
    if (connection.user.value === "") return undefined;
    const ends = [
      connection.subscribe("user.orders", ({ data }) => (data as Order[]).forEach(tellOrder)),
      connection.subscribe("user.trades", ({ data }) => (data as UserTrade[]).forEach(tellTrade)),
    ];
    return () => ends.forEach((end) => end());
  });
}

async function begin(): Promise<void> {
  const kept = sessionStorage.getItem(KEPT);
  if (connection.user.peek() === "" && kept !== null) {
    const [name, secret] = JSON.parse(kept) as [string, string];
    try {
      await logIn(name, secret);
    } catch (error) {
      if (!(error instanceof RpcError) || error.code !== 0) {
        sessionStorage.removeItem(KEPT);
        toast("bad", `You are logged out: ${wordsOf(error)}`);
      }
    }
  }
  await loadStatus();
}

async function loadStatus(): Promise<void> {
  try {
    status.value = await connection.request("public/get_status", {});
  } catch {
    // The connection was lost: the next one asks again.
  }
}

/** The name of the script in a page: it changes with the content. */
export function scriptOf(html: string): string | undefined {
  return /src="([^"]*\/assets\/[^"]+\.js)"/.exec(html)?.[1];
}

async function compareVersions(): Promise<void> {
  try {
    const served = scriptOf(await (await fetch("/", { cache: "no-store" })).text());
    const own = document.querySelector('script[src*="/assets/"]')?.getAttribute("src");
    isOutdated.value = served !== undefined && own != null && served !== own;
  } catch {
    // The next connection compares again.
  }
}

async function loadInstruments(asked: { at_seq?: number }): Promise<void> {
  try {
    const listed = await connection.request("public/get_instruments", asked);
    if (asked.at_seq !== moment.peek()?.seq) return;
    instruments.value = [...listed].sort(byTerms);
    if (!listed.some((it) => it.instrument_id === instrumentId.peek())) choose(listed[0]?.asset ?? "");
  } catch (error) {
    if (error instanceof RpcError && error.code !== 0) toast("bad", wordsOf(error));
  }
}

function byTerms(a: Instrument, b: Instrument): number {
  return a.asset.localeCompare(b.asset) || a.expiration - b.expiration || a.strike - b.strike;
}

function tellTrade(trade: UserTrade): void {
  const verb = trade.side === "bid" ? "bought" : "sold";
  const what = `${format.amount(trade.size)} ${trade.instrument_id} at ${format.price(trade.price, tickOf(trade.instrument_id))}`;
  if (trade.liquidation === true) toast("bad", `Liquidation: ${verb} ${what}`);
  else toast("good", `You ${verb} ${what}`);
}

function tellOrder(order: Order): void {
  if (order.status === "rejected")
    toast("bad", `The triggered order ${order.order_id} was refused: ${order.reject_reason ?? ""}`);
  else if (order.status === "cancelled" && order.cancel_reason !== "user_request")
    toast("info", `Order ${order.order_id} was cancelled: ${(order.cancel_reason ?? "").replaceAll("_", " ")}`);
}
