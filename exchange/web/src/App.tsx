import type { JSX } from "preact";
import { PastBar } from "./panels/PastBar";
import { Header } from "./parts/Header";
import { Toasts } from "./parts/Toasts";
import { Trade } from "./pages/Trade";
import { moment, page, type Page } from "./store/address";
import { waiting } from "./store/view";

const CONTENTS: Partial<Record<Page, () => JSX.Element>> = {
  "/": Trade,
};

export function App() {
  const Shown = CONTENTS[page.value] ?? Trade;
  return (
    <div
      class={moment.value === null ? "app" : "app is-past"}
      data-waiting={waiting.value}
      data-seq={moment.value?.seq}
    >
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Header />
      <PastBar />
      <main id="main" tabIndex={-1}>
        <Shown />
      </main>
      <Toasts />
    </div>
  );
}
