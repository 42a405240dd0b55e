// Lines over time or over another number, with a legend, and a download as PNG.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { save } from "../csv";
import { colours, rangeOf } from "./plot";

export interface LineOf {
  name: string;
  values: (number | null)[];
  isDashed?: boolean;
  /** Lines with the same number have the same colour; without it each has its own. */
  colour?: number;
}

interface Props {
  /** The name of the picture, and of its file. */
  name: string;
  x: number[];
  lines: LineOf[];
  /** True if x are seconds since 1970. */
  isTime: boolean;
  unit: string;
}

const HEIGHT = 240;
const COLOURS = ["accent", "bid", "ask", "quiet", "line-5", "line-6"];

function colourOf(line: LineOf, n: number): string {
  return COLOURS[(line.colour ?? n) % COLOURS.length] ?? "accent";
}

export function LineChart({ name, x, lines, isTime, unit }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const names = lines.map((it) => it.name).join("|");
  const data: uPlot.AlignedData = [x, ...lines.map((it) => it.values)];
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const colour = colours(element);
    const axis = {
      stroke: colour("quiet"),
      grid: { stroke: colour("line"), width: 1 },
      ticks: { stroke: colour("line") },
    };
    const made = new uPlot(
      {
        width: Math.max(200, element.clientWidth),
        height: HEIGHT,
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), "Etc/UTC"),
        legend: { show: false },
        scales: { x: { time: isTime, range: rangeOf } },
        axes: [axis, { ...axis, size: 64 }],
        series: [
          {},
          ...lines.map((it, n) => ({
            stroke: colour(colourOf(it, n)),
            width: 1.5,
            points: { show: x.length < 60 },
            spanGaps: true,
            ...(it.isDashed === true ? { dash: [6, 4] } : {}),
          })),
        ],
      },
      data,
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() =>
      made.setSize({ width: Math.max(200, element.clientWidth), height: HEIGHT }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
    // The chart is made again when its lines have other names; their data come below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [names, isTime]);
  useEffect(() => plot.current?.setData(data));
  const download = () =>
    plot.current?.ctx.canvas.toBlob((picture) => {
      if (picture !== null) save(`${name}.png`, picture);
    });
  return (
    <figure class="line-chart">
      <div
        ref={box}
        class="plot"
        role="img"
        aria-label={`${name}: ${lines.map((it) => it.name).join(", ")}, in ${unit}`}
      />
      <figcaption class="buttons">
        {lines.map((it, n) => (
          <span key={it.name} class={`legend is-${colourOf(it, n)}`}>
            {it.isDashed === true ? "┄" : "━"} {it.name}
          </span>
        ))}
        <small>{unit}</small>
        <button type="button" onClick={download}>
          Download {name}.png
        </button>
      </figcaption>
    </figure>
  );
}
