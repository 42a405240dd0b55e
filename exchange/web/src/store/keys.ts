// The keys of the trade page: they work while no field is being typed into.
import { signal } from "@preact/signals";
import type { Instrument } from "../api/types";
import { instrumentId, page } from "./address";
import { draft } from "./draft";
import { instrument, instruments } from "./exchange";

export const KEYS: [string, string][] = [
  ["/", "search an instrument"],
  ["← ↑ → ↓", "move in the chain: calls and puts, strikes"],
  ["b", "write an order to buy"],
  ["s", "write an order to sell"],
  ["Esc", "leave the field or the dialog"],
  ["?", "show these keys"],
];
export const isHelpOpen = signal(false);

/** The instrument next to this one in the chain of its series; itself at the edge. */
export function neighbour(of: Instrument, all: Instrument[], key: string): Instrument {
  const series = all.filter((it) => it.asset === of.asset && it.expiration === of.expiration);
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const type = key === "ArrowLeft" ? "call" : "put";
    return series.find((it) => it.strike === of.strike && it.option_type === type) ?? of;
  }
  const column = series.filter((it) => it.option_type === of.option_type).sort((a, b) => a.strike - b.strike);
  const place = column.findIndex((it) => it.instrument_id === of.instrument_id);
  return column[place + (key === "ArrowUp" ? -1 : 1)] ?? of;
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, select, textarea, dialog, [role=tablist]") !== null;
}

function write(side: "bid" | "ask"): void {
  draft.side.value = side;
  document.querySelector<HTMLInputElement>(".order-form input[aria-label=Amount]")?.select();
}

export function followKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target instanceof HTMLElement) event.target.blur();
    if (page.value !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "/") document.querySelector<HTMLInputElement>("#search")?.select();
    else if (event.key === "b") write("bid");
    else if (event.key === "s") write("ask");
    else if (event.key === "?") isHelpOpen.value = true;
    else if (event.key.startsWith("Arrow") && instrument.value !== undefined)
      instrumentId.value = neighbour(instrument.value, instruments.value, event.key).instrument_id;
    else return;
    event.preventDefault();
  });
}
