// Short messages at the edge of the page: fills, refusals, liquidations.
import { signal } from "@preact/signals";

export interface Toast {
  id: number;
  kind: "good" | "bad" | "info";
  text: string;
}

const SHOWN_MS = 8_000;
const SHOWN_MAX = 5;
let nextId = 1;

export const toasts = signal<Toast[]>([]);

export function toast(kind: Toast["kind"], text: string): void {
  const id = nextId++;
  toasts.value = [...toasts.value, { id, kind, text }].slice(-SHOWN_MAX);
  setTimeout(() => closeToast(id), SHOWN_MS);
}

export function closeToast(id: number): void {
  toasts.value = toasts.value.filter((it) => it.id !== id);
}
