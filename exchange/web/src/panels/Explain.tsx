// The life of an order: what happened to it, as words and as a picture of what was left of it.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Result } from "../api/connection";
import * as format from "../format";
import { at, connection, wordsOf } from "../store/exchange";
import { show } from "../store/past";

export type Step = Result<"private/explain_order">["steps"][number];

export function ExplainButton({ orderId }: { orderId: number }) {
  const isOpen = useSignal(false);
  return (
    <>
      <button type="button" aria-label={`Explain order ${orderId}`} onClick={() => (isOpen.value = true)}>
        Explain
      </button>
      {isOpen.value && <Explain orderId={orderId} onClose={() => (isOpen.value = false)} />}
    </>
  );
}

/** What a step did, in a sentence. */
export function sentenceOf(step: Step): string {
  switch (step.step) {
    case "placed":
      return `placed: ${step.side === "bid" ? "buy" : "sell"} ${format.amount(step.size)} ${
        step.price == null ? "at market" : `at ${format.price(step.price)}`
      }, ${step.time_in_force}`;
    case "filled":
      return `filled as ${step.liquidity}: ${format.amount(step.size)} at ${format.price(step.price)}, ${format.amount(step.remaining)} remain`;
    case "edited":
      return `edited: ${format.amount(step.remaining)} at ${format.price(step.price)}${
        step.kept_place ? ", its place in the queue kept" : ""
      }`;
    case "cancelled":
      return `cancelled with ${format.amount(step.remaining)} left: ${step.reason.replaceAll("_", " ")}`;
    case "refused":
      return `refused: ${step.reason.replaceAll("_", " ")}`;
    default:
      return step.step.replaceAll("_", " ");
  }
}

/** What was left of the order after each step that tells it. */
export function remainingOf(steps: Step[]): { n: number; remaining: number }[] {
  return steps.flatMap((step, n) => {
    if (step.step === "placed") return [{ n, remaining: step.size }];
    if (step.step === "cancelled") return [{ n, remaining: 0 }];
    if (step.step === "filled" || step.step === "edited") return [{ n, remaining: step.remaining }];
    return [];
  });
}

function Explain({ orderId, onClose }: { orderId: number; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const steps = useSignal<Step[] | null>(null);
  const error = useSignal("");
  useEffect(() => {
    dialog.current?.showModal();
    connection
      .request("private/explain_order", { order_id: orderId, ...at() })
      .then((found) => (steps.value = found.steps))
      .catch((failure: unknown) => (error.value = wordsOf(failure)));
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  return (
    <dialog ref={dialog} class="confirm explain" aria-label={`The life of order ${orderId}`} onCancel={onClose}>
      <h2>Order {orderId}</h2>
      {error.value !== "" && <p class="error">{error.value}</p>}
      {steps.value !== null && <Life steps={steps.value} />}
      <ol class="steps">
        {steps.value?.map((it, n) => (
          <li key={n} class={`step is-${it.step}`}>
            <button
              type="button"
              class="link"
              title="show this moment"
              onClick={() => {
                show(it.seq);
                onClose();
              }}
            >
              {format.dateTime(it.ts_us)}, seq {it.seq}
            </button>
            <span> {sentenceOf(it)}</span>
          </li>
        ))}
      </ol>
      <p class="buttons">
        <button type="button" onClick={onClose}>
          Close
        </button>
      </p>
    </dialog>
  );
}

const WIDTH = 600;
const HEIGHT = 90;

/** What was left of the order, step by step. */
function Life({ steps }: { steps: Step[] }) {
  const points = remainingOf(steps);
  const most = Math.max(1, ...points.map((it) => it.remaining));
  const x = (n: number) => 8 + (n / Math.max(1, steps.length - 1)) * (WIDTH - 16);
  const y = (remaining: number) => HEIGHT - 8 - (remaining / most) * (HEIGHT - 16);
  const [first, ...rest] = points;
  if (first === undefined) return null;
  const path = rest.reduce(
    (drawn, it) => `${drawn}H${x(it.n)}V${y(it.remaining)}`,
    `M${x(first.n)},${y(first.remaining)}`,
  );
  return (
    <svg
      class="life"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label="What was left of the order after each step"
    >
      <path d={path} />
      {points.map((it) => (
        <circle key={it.n} class={`is-${steps[it.n]?.step ?? ""}`} cx={x(it.n)} cy={y(it.remaining)} r={4}>
          <title>{sentenceOf(steps[it.n] as Step)}</title>
        </circle>
      ))}
    </svg>
  );
}
