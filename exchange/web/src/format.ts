// Numbers of the wire as people read them. Prices and cash are in micros of USDC, amounts in millicontracts.

const MICROS = 1_000_000;
const MILLI = 1_000;
const NONE = "–";

/** The decimals that a price with this tick needs, at least two. */
export function decimalsOf(tickMicros: number): number {
  let decimals = 2;
  while (decimals < 6 && tickMicros % 10 ** (6 - decimals) !== 0) decimals += 1;
  return decimals;
}

function grouped(value: number, least: number, most: number): string {
  return value.toLocaleString("en-US", { minimumFractionDigits: least, maximumFractionDigits: most });
}

/** A price with the decimals of its tick; without a tick with all that it has, at least two. */
export function price(micros: number | null | undefined, tickMicros?: number): string {
  if (micros == null) return NONE;
  if (tickMicros === undefined) return grouped(micros / MICROS, 2, 6);
  const decimals = decimalsOf(tickMicros);
  return grouped(micros / MICROS, decimals, decimals);
}

/** Cash to the cent; a smaller amount than that keeps all its digits. */
export function cash(micros: number | null | undefined): string {
  if (micros == null) return NONE;
  return grouped(micros / MICROS, 2, micros !== 0 && Math.abs(micros) < 10_000 ? 6 : 2);
}

/** A profit with its sign. */
export function signed(micros: number | null | undefined): string {
  if (micros == null) return NONE;
  return `${micros > 0 ? "+" : ""}${cash(micros)}`;
}

export function amount(milli: number | null | undefined): string {
  if (milli == null) return NONE;
  return grouped(milli / MILLI, 0, 3);
}

/** An amount in a narrow column: without fractions from a hundred contracts on. */
export function rough(milli: number | null | undefined): string {
  if (milli == null || Math.abs(milli) < 100 * MILLI) return amount(milli);
  return grouped(milli / MILLI, 0, 0);
}

/** A volatility or a ratio as a percentage: 0.5 is 50.0%. */
export function percent(ratio: number | null | undefined, decimals = 1): string {
  return ratio == null ? NONE : `${(ratio * 100).toFixed(decimals)}%`;
}

export function fixed(value: number | null | undefined, decimals = 2): string {
  return value == null ? NONE : value.toFixed(decimals);
}

const TIME = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: "UTC" });
const DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: "UTC" });

export function time(us: number | null | undefined): string {
  return us == null ? NONE : TIME.format(us / 1000);
}

export function date(us: number | null | undefined): string {
  return us == null ? NONE : DATE.format(us / 1000);
}

export function dateTime(us: number | null | undefined): string {
  return us == null ? NONE : `${date(us)}, ${time(us)}`;
}

/**
 * The micros of a price as it was typed, or the millis of an amount; null if it is no number of so many decimals. A comma
 * is a decimal one; before three digits it could also stand between thousands, so that the number is none.
 */
export function parseDecimal(text: string, unit: typeof MICROS | typeof MILLI): number | null {
  const found = /^(\d{0,9})(?:[.,](\d*))?$/.exec(text.trim());
  if (found === null || text.trim() === "") return null;
  const digits = String(unit).length - 1;
  const fraction = found[2] ?? "";
  if (text.includes(",") && fraction.length === 3) return null;
  if ((found[1] ?? "") + fraction === "" || /[1-9]/.test(fraction.slice(digits))) return null;
  return Number(found[1] ?? "0") * unit + Number(fraction.slice(0, digits).padEnd(digits, "0"));
}

export const parsePrice = (text: string): number | null => parseDecimal(text, MICROS);
export const parseAmount = (text: string): number | null => parseDecimal(text, MILLI);
