// What the pictures on a canvas share: the colours of the theme, and the range of x.
import type uPlot from "uplot";

/** The colours of the theme, which a canvas cannot take from the style sheet by itself. */
export function colours(element: Element): (name: string) => string {
  const probe = document.createElement("span");
  element.append(probe);
  return (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
}

/** All values of x; around a single one, an hour. */
export function rangeOf(_chart: uPlot, first: number, last: number): [number, number] {
  return first === last ? [first - 1_800, last + 1_800] : [first, last];
}
