// Candles of an instrument or an index: those of the past, and the running one.
import type { Message } from "../api/connection";
import type { Candle, Candles } from "../api/types";

export const RESOLUTIONS = ["1s", "15s", "1m", "5m", "15m", "1h", "6h", "1d"] as const;
export type Resolution = (typeof RESOLUTIONS)[number];
export const CANDLES_SHOWN = 300;

/** The candles after a message: one that goes on replaces the last, one that begins follows it. */
export function foldCandles(candles: Candle[], message: Message): Candle[] {
  const fresh = (message.data as Candles).candles;
  const first = fresh[0]?.ts_us;
  if (first === undefined) return candles;
  return [...candles.filter((it) => it.ts_us < first), ...fresh].slice(-CANDLES_SHOWN);
}

/** The closes of an index at the times of other candles: the last one that is known then. */
export function closesAt(times: number[], index: Candle[]): (number | null)[] {
  let n = 0;
  let last: number | null = null;
  return times.map((time) => {
    for (let it = index[n]; it !== undefined && it.ts_us <= time; it = index[++n]) last = it.close;
    return last;
  });
}
