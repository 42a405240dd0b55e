import type { JSX } from "preact";
import { PastBar } from "./panels/PastBar";
import { Header } from "./parts/Header";
import { Keys } from "./parts/Keys";
import { Toasts } from "./parts/Toasts";
import { Account } from "./pages/Account";
import { Api } from "./pages/Api";
import { Operate } from "./pages/Operate";
import { Results } from "./pages/Results";
import { Trade } from "./pages/Trade";
import { moment, page, type Page } from "./store/address";
import { isOutdated } from "./store/session";
import { waiting } from "./store/view";

const CONTENTS: Partial<Record<Page, () => JSX.Element>> = {
  "/": Trade,
  "/account": Account,
  "/results": Results,
  "/operate": Operate,
  "/api": Api,
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
      {isOutdated.value && (
        <p class="warning" role="alert">
          The exchange has another version now. Load this page again to go on with it.{" "}
          <button type="button" onClick={() => location.reload()}>
            Load again
          </button>
        </p>
      )}
      <main id="main" tabIndex={-1}>
        <Shown />
      </main>
      <PastBar />
      <Toasts />
      <Keys />
    </div>
  );
}
