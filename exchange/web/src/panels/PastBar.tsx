// The time line of the whole journal at the foot of each page: drag it, step, or let it play; and back to now.
import { useEffect } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type { Timeline, TimelineMark } from "../api/types";
import * as format from "../format";
import { moment } from "../store/address";
import { asset, connection } from "../store/exchange";
import { backToNow, place, show, speed, SPEEDS, step, unit, type Unit } from "../store/past";
import { useView } from "../store/view";

const BUCKETS = 400;
const HEIGHT = 40;
const AGAIN_MS = 15_000;
const UNITS: Unit[] = ["command", "trade", "second"];

export function PastBar() {
  const at = moment.value;
  const again = useSignal(0);
  useEffect(() => {
    const timer = setInterval(() => (again.value += 1), AGAIN_MS);
    return () => clearInterval(timer);
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  // The line is of now, also while the panels show the past.
  const { data, error } = useView<Timeline>(
    "timeline",
    () => ({ ask: () => connection.request("public/get_timeline", { buckets: BUCKETS }) }),
    again.value,
    "now",
  );
  const seq = at?.seq ?? data?.last_seq ?? 0;
  const isKnown = place.value !== null && place.value.seq === at?.seq;
  return (
    <section class="past-bar" aria-label="Time line">
      <div class="past-line">
        {data !== undefined && <Line timeline={data} seq={seq} asset={asset.value} />}
        <input
          type="range"
          aria-label="Moment"
          aria-valuetext={`after command ${seq}`}
          min={data?.first_seq ?? 0}
          max={data?.last_seq ?? 1}
          disabled={data === undefined}
          value={seq}
          onInput={(event) => show(Number(event.currentTarget.value))}
        />
      </div>
      <div class="buttons">
        {at === null ? (
          <span class="past-place">now</span>
        ) : (
          <span class="past-place" role="status">
            the past: after command <b>{at.seq.toLocaleString("en-US")}</b>
            {isKnown && ` · ${format.dateTime(place.value?.ts_us)}`}
          </span>
        )}
        <select
          aria-label="Step by"
          value={unit.value}
          onChange={(event) => (unit.value = event.currentTarget.value as Unit)}
        >
          {UNITS.map((it) => (
            <option key={it} value={it}>
              by {it}
            </option>
          ))}
        </select>
        <button type="button" aria-label={`Back one ${unit.value}`} onClick={() => void step(unit.value, -1)}>
          ◀
        </button>
        <button type="button" aria-label={`Forward one ${unit.value}`} onClick={() => void step(unit.value, 1)}>
          ▶
        </button>
        <Film />
        {at !== null && (
          <button type="button" class="to-now" onClick={backToNow}>
            Back to now
          </button>
        )}
        {error !== undefined && <span class="hint">{error.text}</span>}
        {(data?.first_seq ?? 1) > 1 && (
          <span class="hint">
            The history begins with command {data?.first_seq.toLocaleString("en-US")}: older ones are archived.
          </span>
        )}
      </div>
    </section>
  );
}

function Film() {
  const chosen = useSignal<number>(SPEEDS[1]);
  return (
    <>
      <select
        aria-label="Speed"
        value={chosen.value}
        onChange={(event) => {
          chosen.value = Number(event.currentTarget.value);
          if (speed.value !== 0) speed.value = Math.sign(speed.value) * chosen.value;
        }}
      >
        {SPEEDS.map((it) => (
          <option key={it} value={it}>
            {it} a second
          </option>
        ))}
      </select>
      {speed.value === 0 ? (
        <>
          <button type="button" onClick={() => (speed.value = -chosen.value)}>
            Play backwards
          </button>
          <button type="button" disabled={moment.value === null} onClick={() => (speed.value = chosen.value)}>
            Play
          </button>
        </>
      ) : (
        <button type="button" onClick={() => (speed.value = 0)}>
          Stop
        </button>
      )}
    </>
  );
}

/** Where a command is on a line of this width. */
export function xOf(seq: number, first: number, last: number, width: number): number {
  return last <= first ? width : ((seq - first) / (last - first)) * width;
}

/** The points of a line through these values; null values are left out. */
export function pathOf(values: (number | undefined)[], height: number): string {
  const known = values.filter((it) => it !== undefined);
  const low = Math.min(...known);
  const span = Math.max(...known) - low || 1;
  return values
    .map((it, n) =>
      it === undefined ? "" : `${n + 0.5},${(height - 2 - ((it - low) / span) * (height - 4)).toFixed(1)}`,
    )
    .filter((it) => it !== "")
    .join(" ");
}

function Line({ timeline, seq, asset: name }: { timeline: Timeline; seq: number; asset: string }) {
  const { buckets, marks, first_seq: first, last_seq: last } = timeline;
  const width = Math.max(1, buckets.length);
  const most = Math.max(1, ...buckets.map((it) => it.volume));
  const x = (of: number) => xOf(of, first, last, width);
  return (
    <svg viewBox={`0 0 ${width} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      {buckets.map((it, n) => {
        const height = (it.volume / most) * (HEIGHT - 6);
        return <rect key={it.first_seq} class="volume" x={n} y={HEIGHT - height} width={0.8} height={height} />;
      })}
      <polyline
        class="index"
        points={pathOf(
          buckets.map((it) => it.index_prices[name]),
          HEIGHT,
        )}
      />
      {marks.map((it, n) => (
        <Mark key={n} mark={it} x={x(it.seq)} />
      ))}
      <line class="here" x1={x(seq)} x2={x(seq)} y1={0} y2={HEIGHT} />
    </svg>
  );
}

function Mark({ mark, x }: { mark: TimelineMark; x: number }) {
  return (
    <line class={`mark is-${mark.kind}`} x1={x} x2={x} y1={0} y2={8}>
      <title>
        {mark.text} ({format.dateTime(mark.ts_us)})
      </title>
    </line>
  );
}
