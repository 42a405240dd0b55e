// What a panel shows: asked once, then kept up to date by channels; in the past, asked for that moment.
import { signal, useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { RpcError, type Message } from "../api/connection";
import { moment } from "./address";
import { connection } from "./exchange";

export interface Source<T> {
  /** Asks for the state: now, or at the moment. */
  ask: () => Promise<T>;
  /** The channels that change it. */
  channels?: string[];
  /** The state after a message; messages that the state includes already are possible. */
  fold?: (state: T, message: Message) => T;
}

export interface View<T> {
  data: T | undefined;
  error: RpcError | undefined;
}

/** How many views show nothing yet, or still another moment. The page is still when it is 0. */
export const waiting = signal(0);

/**
 * The state of a source. `key` names it: another one is another source, and null is none. When `again` changes, the
 * same source is asked again, and shown as it was until the answer comes. A source of now does not follow the moment.
 */
export function useView<T>(
  key: string | null,
  source: () => Source<T>,
  again = 0,
  of: "moment" | "now" = "moment",
): View<T> {
  const shown = useSignal<View<T> & { key: string | null }>({ key: null, data: undefined, error: undefined });
  const seq = of === "now" ? undefined : moment.value?.seq;
  const generation = connection.generation.value;
  const user = connection.user.value;
  const shownPlace = useRef("");
  // Before the browser paints: nobody sees the new moment in one panel and no waiting in another.
  useLayoutEffect(() => {
    if (key === null || generation === 0) return undefined;
    const place = `${key} ${String(seq)}`;
    let isWaiting = shownPlace.current !== place;
    if (isWaiting) waiting.value++;
    const endWaiting = () => {
      if (isWaiting) waiting.value--;
      isWaiting = false;
    };
    const { ask, channels = [], fold } = source();
    let state: T | undefined;
    let isEnded = false;
    let frame = 0;
    const early: Message[] = [];
    // Many messages between two pictures make one change of the page.
    const show = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        if (isEnded) return;
        shown.value = { key, data: state, error: undefined };
        shownPlace.current = place;
        endWaiting();
      });
    };
    const onMessage = (message: Message) => {
      if (state === undefined || fold === undefined) {
        early.push(message);
      } else {
        state = fold(state, message);
        show();
      }
    };
    const ends = seq === undefined ? channels.map((name) => connection.subscribe(name, onMessage)) : [];
    // After the subscriptions, which are sent together at the end of this turn: nothing happens between the two unseen.
    const asked = Promise.resolve().then(ask);
    asked.then(
      (asked) => {
        state = fold === undefined ? asked : early.reduce(fold, asked);
        show();
      },
      (error: unknown) => {
        const known = error instanceof RpcError ? error : new RpcError(0, String(error));
        // After a lost connection it is asked again.
        if (isEnded || known.code === 0) return;
        shown.value = { key, data: undefined, error: known };
        shownPlace.current = place;
        endWaiting();
      },
    );
    return () => {
      isEnded = true;
      endWaiting();
      cancelAnimationFrame(frame);
      for (const end of ends) end();
    };
    // The source is a function of the key.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [key, seq, generation, user, again]);
  return shown.value.key === key ? shown.value : { data: undefined, error: undefined };
}
