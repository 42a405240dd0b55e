// A table of records, which can be downloaded as CSV. The rows beyond a number are shown on request.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { csvOf, saveText, type Cell } from "../csv";

export interface Column<T> {
  name: string;
  /** What the page shows. */
  show: (row: T) => ComponentChildren;
  /** What the CSV has: the number of the wire. Without it the column is left out there. */
  value?: (row: T) => Cell;
  class?: (row: T) => string;
}

interface Props<T> {
  /** The class of the table, and the name of its file. */
  name: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  keyOf: (row: T) => string | number;
  empty: string;
}

const SHOWN_FIRST = 200;

export function Table<T>({ name, rows, columns, keyOf, empty }: Props<T>) {
  const shown = useSignal(SHOWN_FIRST);
  if (rows.length === 0) return <p class="empty">{empty}</p>;
  const download = () => {
    const kept = columns.filter((it) => it.value !== undefined);
    const names = kept.map((it) => it.name);
    saveText(
      `${name}.csv`,
      "text/csv",
      csvOf(
        names,
        rows.map((row) => kept.map((it) => it.value?.(row))),
      ),
    );
  };
  return (
    <>
      <table class={name}>
        <thead>
          <tr>
            {columns.map((it) => (
              <th key={it.name} scope="col">
                {it.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, shown.value).map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((it) => (
                <td key={it.name} class={it.class?.(row)}>
                  {it.show(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <p class="buttons table-foot">
        {rows.length > shown.value && (
          <button type="button" onClick={() => (shown.value += 10 * SHOWN_FIRST)}>
            Show more of {rows.length.toLocaleString("en-US")}
          </button>
        )}
        <button type="button" onClick={download}>
          Download {name}.csv
        </button>
      </p>
    </>
  );
}
