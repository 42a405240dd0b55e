import { useSignal } from "@preact/signals";
import { openPage, page, PAGES, type Page } from "../store/address";
import { connection, status, wordsOf } from "../store/exchange";
import { logIn, logOut } from "../store/session";

const NAMES: Record<Page, string> = {
  "/": "Trade",
  "/account": "Account",
  "/results": "Results",
  "/operate": "Operate",
  "/api": "API",
};

const STATES = { connecting: "connecting", open: "live", lost: "connection lost, trying again" };

export function Header() {
  const state = connection.state.value;
  return (
    <header class="header">
      <strong class="brand">Exchange</strong>
      <nav aria-label="Pages">
        {PAGES.map((it) => (
          <a
            key={it}
            href={it}
            aria-current={page.value === it ? "page" : undefined}
            onClick={(event) => {
              event.preventDefault();
              openPage(it);
            }}
          >
            {NAMES[it]}
          </a>
        ))}
      </nav>
      <span class={`state is-${state}`} role="status">
        {status.value?.halted === true ? "halted: only cancelling is possible" : STATES[state]}
      </span>
      <Login />
    </header>
  );
}

function Login() {
  const name = useSignal("");
  const secret = useSignal("");
  const error = useSignal("");
  const user = connection.user.value;
  if (user !== "")
    return (
      <span class="login">
        <span class="user">{user}</span>
        <button type="button" onClick={logOut}>
          Log out
        </button>
      </span>
    );
  const submit = async (event: Event) => {
    event.preventDefault();
    error.value = "";
    try {
      await logIn(name.value.trim(), secret.value);
      secret.value = "";
    } catch (failure) {
      error.value = wordsOf(failure);
    }
  };
  return (
    <form class="login" onSubmit={(event) => void submit(event)}>
      <input
        aria-label="Account"
        placeholder="user"
        size={10}
        required
        autocomplete="username"
        value={name.value}
        onInput={(event) => (name.value = event.currentTarget.value)}
      />
      <input
        aria-label="Secret"
        placeholder="secret"
        size={10}
        type="password"
        autocomplete="current-password"
        value={secret.value}
        onInput={(event) => (secret.value = event.currentTarget.value)}
      />
      <button type="submit">Log in</button>
      {(error.value || connection.loginError.value) && (
        <span class="error" role="alert">
          {error.value || connection.loginError.value}
        </span>
      )}
    </form>
  );
}
