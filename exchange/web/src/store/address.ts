// The address of the page holds what a link can share: the page, the instrument and the moment.
import { effect, signal } from "@preact/signals";

export type Page = "/" | "/account" | "/results" | "/operate" | "/api";
/** The pages that there are; the exchange answers the same addresses (exchange/gateway/screen.py). */
export const PAGES: readonly Page[] = ["/", "/account", "/results", "/operate", "/api"];

/** A moment of the past, as right after the command `seq`. */
export interface Moment {
  seq: number;
}

interface Address {
  page: Page;
  instrument: string;
  moment: Moment | null;
}

export function parseAddress(path: string, hash: string): Address {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const seq = Number(fields.get("seq"));
  return {
    page: PAGES.find((it) => it === path) ?? "/",
    instrument: fields.get("i") ?? "",
    moment: Number.isSafeInteger(seq) && seq > 0 ? { seq } : null,
  };
}

export function hashOf(instrument: string, moment: Moment | null): string {
  const fields = new URLSearchParams();
  if (instrument) fields.set("i", instrument);
  if (moment !== null) fields.set("seq", String(moment.seq));
  const text = fields.toString();
  return text ? `#${text}` : "";
}

const first = parseAddress(location.pathname, location.hash);

export const page = signal<Page>(first.page);
/** The instrument that all panels show; empty until one is chosen. */
export const instrumentId = signal(first.instrument);
/** The moment that all panels show; null: now. */
export const moment = signal<Moment | null>(first.moment);

export function openPage(next: Page): void {
  page.value = next;
  history.pushState(null, "", next + hashOf(instrumentId.value, moment.value));
}

function read(): void {
  const address = parseAddress(location.pathname, location.hash);
  page.value = address.page;
  if (address.instrument) instrumentId.value = address.instrument;
  if (address.moment?.seq !== moment.value?.seq) moment.value = address.moment;
}

/** Keep the signals and the address equal. */
export function followAddress(): void {
  addEventListener("popstate", read);
  addEventListener("hashchange", read);
  effect(() => {
    const hash = hashOf(instrumentId.value, moment.value);
    if (location.hash !== hash) history.replaceState(null, "", location.pathname + hash);
  });
}
