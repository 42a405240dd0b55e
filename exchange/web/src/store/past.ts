// Travelling through the journal: one moment at a time, step by step, or as a film.
import { effect, signal } from "@preact/signals";
import { RpcError } from "../api/connection";
import type { MomentResult } from "../api/types";
import { moment } from "./address";
import { connection, wordsOf } from "./exchange";
import { toast } from "./toasts";
import { waiting } from "./view";

export type Unit = "command" | "trade" | "second";
export const SPEEDS = [1, 5, 20, 100] as const;

/** Where the page is, and the ends of what can be shown. */
export const place = signal<MomentResult | null>(null);
/** How many units a second the film runs, backwards if negative; 0: it stands. */
export const speed = signal(0);
export const unit = signal<Unit>("command");

// The moment that is wanted while the panels still load another one. Moments in between are left out.
let wanted: number | null = null;

/** Show the moment after a command. While the panels load, only the last one that was wanted is kept. */
export function show(seq: number): void {
  if (moment.peek() !== null && waiting.peek() > 0) wanted = seq;
  else moment.value = { seq };
}

export function backToNow(): void {
  speed.value = 0;
  wanted = null;
  moment.value = null;
}

/** Go some units forwards, or backwards if `count` is negative. Resolves to false at an end of the journal. */
export async function step(by: Unit, count: number): Promise<boolean> {
  const from = moment.peek();
  try {
    const found = await connection.request("public/get_moment", { ...(from ?? {}), by, count });
    place.value = found;
    show(found.seq);
    return !found.clipped;
  } catch (error) {
    if (error instanceof RpcError && error.code !== 0) toast("bad", wordsOf(error));
    return false;
  }
}

/** How far the film goes in one picture: at least one unit, and about ten pictures a second. */
export function strideOf(unitsPerSecond: number): { count: number; everyMs: number } {
  const size = Math.abs(unitsPerSecond);
  const count = Math.max(1, Math.round(size / 10));
  return { count: unitsPerSecond < 0 ? -count : count, everyMs: (1_000 * count) / Math.max(size, 1e-9) };
}

/** Follow the moment: its time, and what waits for the panels. Called once. */
export function followMoment(): void {
  effect(() => {
    if (waiting.value === 0 && wanted !== null) {
      const seq = wanted;
      wanted = null;
      moment.value = { seq };
    }
  });
  effect(() => {
    const at = moment.value;
    if (at === null) {
      speed.value = 0;
      return;
    }
    if (connection.generation.value === 0 || place.peek()?.seq === at.seq) return;
    connection
      .request("public/get_moment", { seq: at.seq, count: 0 })
      .then((found) => {
        if (moment.peek()?.seq === at.seq) place.value = found;
      })
      .catch(() => undefined);
  });
  effect(() => {
    if (speed.value === 0) return undefined;
    const { count, everyMs } = strideOf(speed.value);
    let timer = 0;
    let isEnded = false;
    const next = async () => {
      const begin = performance.now();
      // A picture that is still loading is waited for, so that the film shows each of them.
      if (waiting.peek() === 0 && !(await step(unit.peek(), count))) {
        speed.value = 0;
        return;
      }
      if (!isEnded) timer = window.setTimeout(() => void next(), Math.max(0, everyMs - (performance.now() - begin)));
    };
    void next();
    return () => {
      isEnded = true;
      clearTimeout(timer);
    };
  });
}
