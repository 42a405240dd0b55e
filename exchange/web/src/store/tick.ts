// A counter that rises when the user's positions may have changed: after each of their trades, and every two seconds.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { connection } from "./exchange";

const EVERY_MS = 2_000;

const tick = signal(0);

export function useTick(): number {
  const user = connection.user.value;
  useEffect(() => {
    if (user === "") return undefined;
    const rise = () => (tick.value += 1);
    const end = connection.subscribe("user.trades", rise);
    const timer = setInterval(rise, EVERY_MS);
    return () => {
      end();
      clearInterval(timer);
    };
  }, [user]);
  return tick.value;
}
