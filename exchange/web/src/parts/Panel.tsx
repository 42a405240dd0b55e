import type { ComponentChildren } from "preact";
import type { RpcError } from "../api/connection";

interface Props {
  title: string;
  /** Names the place of the panel in the layout of its page. */
  area: string;
  error?: RpcError | undefined;
  tools?: ComponentChildren;
  children: ComponentChildren;
}

export function Panel({ title, area, error, tools, children }: Props) {
  const id = `panel-${area}`;
  return (
    <section class={`panel at-${area}`} aria-labelledby={id}>
      <div class="panel-head">
        <h2 id={id}>{title}</h2>
        {tools}
      </div>
      <div class="panel-body">{error === undefined ? children : <p class="error">{error.text}</p>}</div>
    </section>
  );
}
