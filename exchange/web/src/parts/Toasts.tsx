import { closeToast, toasts } from "../store/toasts";

export function Toasts() {
  return (
    <div class="toasts" role="log" aria-live="polite" aria-label="Messages">
      {toasts.value.map((it) => (
        <div key={it.id} class={`toast is-${it.kind}`}>
          {it.text}
          <button type="button" aria-label="Close the message" onClick={() => closeToast(it.id)}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}
