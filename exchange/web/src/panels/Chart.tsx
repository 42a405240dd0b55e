// The price of the chosen option as candles, with the index; and the depth of its book.
import uPlot from "uplot";
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import type { Candle } from "../api/types";
import * as format from "../format";
import { Panel } from "../parts/Panel";
import { colours, rangeOf } from "../parts/plot";
import { instrumentId } from "../store/address";
import type { Book } from "../store/book";
import { CANDLES_SHOWN, closesAt, foldCandles, RESOLUTIONS, type Resolution } from "../store/candles";
import { asset, at, connection, instrument } from "../store/exchange";
import { useView } from "../store/view";
import { useBook } from "./OrderBook";

const MICROS = 1_000_000;
// The library's own name of it does not exist at run time.
// eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
const RIGHT = 1 as uPlot.Axis.Side;

function useCandles(key: string, of: { instrument_id: string } | { asset: string }, resolution: Resolution) {
  return useView<Candle[]>(key === "" ? null : `candles ${key} ${resolution}`, () => ({
    ask: async () =>
      (await connection.request("public/get_candles", { ...of, resolution, count: CANDLES_SHOWN, ...at() })).candles,
    channels: [`candles.${key}.${resolution}`],
    fold: foldCandles,
  }));
}

export function Chart() {
  const resolution = useSignal<Resolution>("1m");
  const isDepth = useSignal(false);
  const id = instrumentId.value;
  const name = id === "" ? "" : asset.value;
  return (
    <Panel
      title={isDepth.value ? "Depth" : "Price chart"}
      area="chart"
      tools={
        <>
          <button type="button" aria-pressed={isDepth.value} onClick={() => (isDepth.value = !isDepth.value)}>
            {isDepth.value ? "Show the price" : "Show the depth"}
          </button>
          {!isDepth.value && (
            <select
              aria-label="Length of a candle"
              value={resolution.value}
              onChange={(event) => (resolution.value = event.currentTarget.value as Resolution)}
            >
              {RESOLUTIONS.map((it) => (
                <option key={it}>{it}</option>
              ))}
            </select>
          )}
        </>
      }
    >
      {isDepth.value ? <Depth /> : <Price id={id} name={name} resolution={resolution.value} />}
    </Panel>
  );
}

function Price({ id, name, resolution }: { id: string; name: string; resolution: Resolution }) {
  const { data: candles, error } = useCandles(id, { instrument_id: id }, resolution);
  const { data: index } = useCandles(name, { asset: name }, resolution);
  if (error !== undefined) return <p class="error">{error.text}</p>;
  const last = candles?.at(-1);
  return (
    <>
      <Plot candles={candles ?? []} index={index ?? []} />
      <p class="chart-words" data-field="last-candle">
        {last === undefined
          ? "No trades yet."
          : `Last candle: open ${shown(last.open)}, high ${shown(last.high)}, low ${shown(last.low)}, ` +
            `close ${shown(last.close)}, volume ${format.amount(last.volume)}.`}
      </p>
    </>
  );
}

function shown(micros: number): string {
  return format.price(micros, instrument.value?.tick_size);
}

function Plot({ candles, index }: { candles: Candle[]; index: Candle[] }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const times = (candles.length > 0 ? candles : index).map((it) => it.ts_us);
  const column = (of: (it: Candle) => number) =>
    candles.length > 0 ? candles.map((it) => of(it) / MICROS) : times.map(() => null);
  const data: uPlot.AlignedData = [
    times.map((it) => it / MICROS),
    column((it) => it.open),
    column((it) => it.high),
    column((it) => it.low),
    column((it) => it.close),
    closesAt(times, index).map((it) => (it === null ? null : it / MICROS)),
  ];
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const colour = colours(element);
    const [quiet, line, accent, up, down] = ["quiet", "line", "accent", "bid", "ask"].map(colour) as [
      string,
      string,
      string,
      string,
      string,
    ];
    const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line } };
    const hidden = { scale: "price", paths: () => null, points: { show: false } };
    const made = new uPlot(
      {
        width: Math.max(200, element.clientWidth),
        height: 220,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), "Etc/UTC"),
        legend: { show: false },
        cursor: { y: false },
        scales: { x: { range: rangeOf }, price: {}, index: {} },
        axes: [axis, { ...axis, scale: "price" }, { ...axis, scale: "index", side: RIGHT, grid: { show: false } }],
        series: [
          {},
          hidden,
          hidden,
          hidden,
          hidden,
          { scale: "index", stroke: accent, width: 1, points: { show: false }, spanGaps: true },
        ],
        hooks: { draw: [(chart) => drawCandles(chart, up, down)] },
      },
      data,
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: Math.max(200, element.clientWidth), height: 220 }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
    // The chart is made once; its data come below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);
  useEffect(() => plot.current?.setData(data));
  return <div ref={box} class="plot" role="img" aria-label="Price of the option as candles, and the index as a line" />;
}

function drawCandles(chart: uPlot, up: string, down: string): void {
  const [times, opens, highs, lows, closes] = chart.data;
  const { ctx } = chart;
  const step = times.length > 1 ? chart.bbox.width / Math.max(times.length, 2) : 10;
  const width = Math.max(1, Math.min(12, step * 0.6));
  ctx.save();
  times.forEach((time, n) => {
    const [open, high, low, close] = [opens?.[n], highs?.[n], lows?.[n], closes?.[n]];
    if (open == null || high == null || low == null || close == null) return;
    const x = chart.valToPos(time, "x", true);
    const y = (value: number) => chart.valToPos(value, "price", true);
    ctx.fillStyle = close >= open ? up : down;
    ctx.fillRect(x - 0.5, y(high), 1, Math.max(1, y(low) - y(high)));
    ctx.fillRect(x - width / 2, Math.min(y(open), y(close)), width, Math.max(1, Math.abs(y(open) - y(close))));
  });
  ctx.restore();
}

interface Step {
  price: number;
  sum: number;
}

/** The cumulative sizes of one side, from the best price outwards. */
export function stepsOf(levels: Book["bids"]): Step[] {
  let sum = 0;
  return levels.map(({ price, size }) => ({ price, sum: (sum += size) }));
}

const WIDTH = 600;
const DEPTH_HEIGHT = 200;

function Depth() {
  const { data: book, error } = useBook();
  if (error !== undefined) return <p class="error">{error.text}</p>;
  const bids = stepsOf(book?.bids ?? []);
  const asks = stepsOf(book?.asks ?? []);
  const all = [...bids, ...asks];
  if (all.length === 0) return <p class="empty">The book is empty.</p>;
  const low = Math.min(...all.map((it) => it.price));
  const span = Math.max(...all.map((it) => it.price)) - low || 1;
  const most = Math.max(...all.map((it) => it.sum));
  const x = (price: number) => ((price - low) / span) * WIDTH;
  const y = (sum: number) => DEPTH_HEIGHT - (sum / most) * (DEPTH_HEIGHT - 4);
  const area = (steps: Step[]) => {
    const first = steps[0];
    if (first === undefined) return "";
    let path = `M${x(first.price)},${DEPTH_HEIGHT}`;
    for (const { price, sum } of steps) path += `H${x(price)}V${y(sum)}`;
    return `${path}V${DEPTH_HEIGHT}Z`;
  };
  return (
    <>
      <svg
        class="depth"
        viewBox={`0 0 ${WIDTH} ${DEPTH_HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label="Depth of the book"
      >
        <path class="bid" d={area(bids)} />
        <path class="ask" d={area(asks)} />
      </svg>
      <p class="chart-words">
        {`Bids: ${format.amount(bids.at(-1)?.sum ?? 0)} contracts down to ${shown(bids.at(-1)?.price ?? 0)}; `}
        {`asks: ${format.amount(asks.at(-1)?.sum ?? 0)} up to ${shown(asks.at(-1)?.price ?? 0)}.`}
      </p>
    </>
  );
}
