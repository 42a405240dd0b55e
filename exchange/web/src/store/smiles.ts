// The volatility surface as lines: for each expiration, the volatility of the mark by strike.
import type { Instrument, Ticker } from "../api/types";

export interface SmileLine {
  expiration: number;
  /** Mark volatilities in percent, one for each strike of the chart; null where none is listed. */
  values: (number | null)[];
}

/** All strikes of an asset, lowest first, and the smile of each expiration over them. */
export function smilesOf(
  instruments: readonly Instrument[],
  tickers: ReadonlyMap<string, Ticker>,
): { strikes: number[]; lines: SmileLine[] } {
  const strikes = [...new Set(instruments.map((it) => it.strike))].sort((a, b) => a - b);
  const expirations = [...new Set(instruments.map((it) => it.expiration))].sort((a, b) => a - b);
  const lines = expirations.map((expiration) => {
    const byStrike = new Map<number, number>();
    for (const it of instruments) {
      const iv = tickers.get(it.instrument_id)?.mark_iv;
      if (it.expiration === expiration && iv != null) byStrike.set(it.strike, iv * 100);
    }
    return { expiration, values: strikes.map((it) => byStrike.get(it) ?? null) };
  });
  return { strikes, lines: lines.filter((it) => it.values.some((value) => value !== null)) };
}
