import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface Tab {
  name: string;
  content: () => ComponentChildren;
}

/** Tabs: arrow keys move between them. */
export function Tabs({ area, label, tabs }: { area: string; label: string; tabs: Tab[] }) {
  const chosen = useSignal(0);
  const id = useId();
  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    chosen.value = (chosen.value + step + tabs.length) % tabs.length;
    document.getElementById(`${id}-${chosen.value}`)?.focus();
  };
  return (
    <section class={`panel at-${area}`} aria-label={label}>
      <div class="panel-head tabs" role="tablist" aria-label={label} onKeyDown={move}>
        {tabs.map((tab, n) => (
          <button
            key={tab.name}
            id={`${id}-${n}`}
            type="button"
            role="tab"
            aria-selected={n === chosen.value}
            aria-controls={`${id}-panel`}
            tabIndex={n === chosen.value ? 0 : -1}
            onClick={() => (chosen.value = n)}
          >
            {tab.name}
          </button>
        ))}
      </div>
      <div class="panel-body" id={`${id}-panel`} role="tabpanel" aria-labelledby={`${id}-${chosen.value}`} tabIndex={0}>
        {tabs[chosen.value]?.content()}
      </div>
    </section>
  );
}
