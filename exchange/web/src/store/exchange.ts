// The connection of this page, and what all panels share: the instruments, the state of the exchange, the user.
import { computed, signal } from "@preact/signals";
import { Connection, RpcError } from "../api/connection";
import type { ExchangeStatus, Instrument } from "../api/types";
import { instrumentId, moment } from "./address";

/** The WebSocket at the address of this page. */
export function socketUrl(page: { protocol: string; host: string }): string {
  return `${page.protocol === "https:" ? "wss" : "ws"}://${page.host}/`;
}

export const connection = new Connection(import.meta.env.DEV ? `ws://${location.host}/socket` : socketUrl(location));

export const instruments = signal<Instrument[]>([]);
export const status = signal<ExchangeStatus | null>(null);
/** True if commands of this connection are those of an administrator. */
export const isAdmin = signal(false);

const assetNames = computed(() => [...new Set(instruments.value.map((it) => it.asset))].join(" "));
/** The assets that options are listed on. The list stays the same object while its names do. */
export const assets = computed(() => (assetNames.value === "" ? [] : assetNames.value.split(" ")));
export const instrument = computed(() => instruments.value.find((it) => it.instrument_id === instrumentId.value));
export const asset = computed(() => instrument.value?.asset ?? assets.value[0] ?? "");
export const expirations = computed(() =>
  [...new Set(instruments.value.filter((it) => it.asset === asset.value).map((it) => it.expiration))].sort(
    (a, b) => a - b,
  ),
);
export const expiration = computed(() => instrument.value?.expiration ?? expirations.value[0] ?? 0);
const ticks = computed(() => new Map(instruments.value.map((it) => [it.instrument_id, it.tick_size])));

/** The tick of an instrument, in micros; undefined if it is not listed. */
export function tickOf(id: string): number | undefined {
  return ticks.value.get(id);
}

/** Why nothing can be traded now; empty if it can. */
export const whyNoTrading = computed(() => {
  if (moment.value !== null) return "This is the past. Go back to now to trade.";
  if (connection.state.value !== "open") return "There is no connection to the exchange.";
  if (connection.user.value === "") return "Log in to trade.";
  return "";
});

/** Why no order can be placed now; empty if one can. During a halt orders can still be cancelled. */
export const whyNoOrder = computed(
  () =>
    whyNoTrading.value ||
    (status.value?.halted === true ? "The exchange is halted: orders can only be cancelled." : ""),
);

/** The parameters that make a question one about the chosen moment. */
export function at(): { at_seq?: number } {
  return moment.value === null ? {} : { at_seq: moment.value.seq };
}

/** Choose the series with this expiration, at the strike nearest to the one that is chosen. */
export function choose(nextAsset: string, nextExpiration?: number): void {
  const series = instruments.value.filter(
    (it) => it.asset === nextAsset && (nextExpiration === undefined || it.expiration === nextExpiration),
  );
  const first = Math.min(...series.map((it) => it.expiration));
  const strike =
    instrument.value?.asset === nextAsset ? instrument.value.strike : middle(series.map((it) => it.strike));
  const nearest = series
    .filter((it) => it.expiration === first && it.option_type === (instrument.value?.option_type ?? "call"))
    .sort((a, b) => Math.abs(a.strike - strike) - Math.abs(b.strike - strike))[0];
  if (nearest !== undefined) instrumentId.value = nearest.instrument_id;
}

function middle(strikes: number[]): number {
  return [...strikes].sort((a, b) => a - b)[Math.floor(strikes.length / 2)] ?? 0;
}

/** What went wrong, in words. */
export function wordsOf(error: unknown): string {
  return error instanceof RpcError ? error.text : error instanceof Error ? error.message : String(error);
}
