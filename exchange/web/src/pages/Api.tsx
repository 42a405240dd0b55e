// The API console: every method with a form, the request, the answer; and the messages of channels.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { RpcError, type Message, type MethodName } from "../api/connection";
import * as format from "../format";
import { Confirm } from "../parts/Confirm";
import { Panel } from "../parts/Panel";
import {
  changesSomething,
  fieldOf,
  paramsOf,
  type ApiDocument,
  type ApiMethod,
  type Field as FieldOf,
} from "../store/api_form";
import { connection } from "../store/exchange";
import { useView } from "../store/view";

const SHOWN_CHARACTERS = 20_000;
const MESSAGES_SHOWN = 50;

export function Api() {
  const { data: document, error } = useView<ApiDocument>("api", () => ({
    ask: async () => (await connection.request("public/get_api", {})) as unknown as ApiDocument,
  }));
  const search = useSignal("");
  const chosen = useSignal("public/get_ticker");
  const found = (document?.methods ?? []).filter((it) =>
    `${it.name} ${it.summary}`.toLowerCase().includes(search.value.toLowerCase()),
  );
  const method = document?.methods.find((it) => it.name === chosen.value);
  return (
    <div class="page api">
      <Panel
        title="Methods"
        area="methods"
        error={error}
        tools={
          <input
            type="search"
            aria-label="Search a method"
            placeholder="search"
            value={search.value}
            onInput={(event) => (search.value = event.currentTarget.value)}
          />
        }
      >
        <ul class="methods">
          {found.map((it) => (
            <li key={it.name}>
              <button
                type="button"
                class="link"
                aria-current={it.name === chosen.value ? "true" : undefined}
                title={it.summary}
                onClick={() => (chosen.value = it.name)}
              >
                {it.name}
              </button>
            </li>
          ))}
        </ul>
        {document !== undefined && found.length === 0 && <p class="empty">No method has this in its name.</p>}
      </Panel>
      {method !== undefined && document !== undefined && (
        <Method key={method.name} method={method} document={document} />
      )}
      <Channels />
    </div>
  );
}

function Method({ method, document }: { method: ApiMethod; document: ApiDocument }) {
  const typed = useSignal<ReadonlyMap<string, string>>(new Map());
  const answer = useSignal("");
  const took = useSignal("");
  const isSending = useSignal(false);
  const isAsked = useSignal(false);
  const fields = method.params.map((it) => fieldOf(it, document));
  const params = paramsOf(fields, typed.value);
  const request = { jsonrpc: "2.0", id: 1, method: method.name, params };
  const send = async () => {
    if (typeof params === "string") return;
    isAsked.value = false;
    isSending.value = true;
    const begin = performance.now();
    try {
      const result = await connection.request(method.name as MethodName, params);
      answer.value = JSON.stringify(result, null, 2);
    } catch (error) {
      answer.value =
        error instanceof RpcError
          ? JSON.stringify({ code: error.code, message: error.message, data: error.data }, null, 2)
          : String(error);
    }
    took.value = `${(performance.now() - begin).toFixed(1)} ms`;
    isSending.value = false;
  };
  const submit = (event: Event) => {
    event.preventDefault();
    if (typeof params === "string") return;
    if (changesSomething(method.name, params)) isAsked.value = true;
    else void send();
  };
  return (
    <Panel title={method.name} area="method">
      <form class="api-form" onSubmit={submit}>
        <p>{method.summary}</p>
        {fields.map((it) => (
          <Field
            key={it.name}
            field={it}
            value={typed.value.get(it.name) ?? ""}
            onInput={(text) => (typed.value = new Map(typed.value).set(it.name, text))}
          />
        ))}
        <h3>Request</h3>
        <pre tabIndex={0} aria-label="Request">
          {typeof params === "string" ? params : JSON.stringify(request, null, 2)}
        </pre>
        <p class="buttons">
          <button type="submit" disabled={typeof params === "string" || isSending.value}>
            {isSending.value ? "Waiting for the answer" : "Send"}
          </button>
          <button
            type="button"
            disabled={typeof params === "string"}
            onClick={() => void navigator.clipboard.writeText(JSON.stringify(request))}
          >
            Copy
          </button>
        </p>
      </form>
      {isAsked.value && (
        <Confirm
          question={`${method.name} changes something. Send it as ${connection.user.value || "nobody"}?`}
          yes="Send it"
          onYes={() => void send()}
          onNo={() => (isAsked.value = false)}
        />
      )}
      <div aria-live="polite">
        {answer.value !== "" && (
          <>
            <h3>Answer, after {took.value}</h3>
            <LongText label="Answer" text={answer.value} />
          </>
        )}
      </div>
    </Panel>
  );
}

/** A text of any length: the beginning, and the rest on request. */
function LongText({ label, text }: { label: string; text: string }) {
  const isWhole = useSignal(false);
  const isLong = text.length > SHOWN_CHARACTERS && !isWhole.value;
  return (
    <>
      <pre tabIndex={0} aria-label={label}>
        {isLong ? text.slice(0, SHOWN_CHARACTERS) : text}
      </pre>
      {isLong && (
        <button type="button" onClick={() => (isWhole.value = true)}>
          Show all {text.length.toLocaleString("en-US")} characters
        </button>
      )}
    </>
  );
}

interface FieldProps {
  field: FieldOf;
  value: string;
  onInput: (text: string) => void;
}

function Field({ field, value, onInput }: FieldProps) {
  const id = `param-${field.name}`;
  const choices = field.kind === "flag" ? ["true", "false"] : field.choices;
  const common = {
    id,
    value,
    required: field.isRequired,
    "aria-describedby": `${id}-help`,
    onInput: (event: Event) => onInput((event.currentTarget as HTMLInputElement).value),
  };
  return (
    <div class="param">
      <label for={id}>
        {field.name}
        {field.isRequired && " (required)"}
      </label>
      {choices.length > 0 ? (
        <select {...common}>
          <option value="" />
          {choices.map((it) => (
            <option key={it}>{it}</option>
          ))}
        </select>
      ) : field.kind === "json" ? (
        <textarea {...common} rows={2} spellcheck={false} placeholder="JSON" />
      ) : (
        <input {...common} inputMode={field.kind === "integer" ? "numeric" : "text"} spellcheck={false} />
      )}
      <small id={`${id}-help`}>
        {field.help} {field.unit !== "" && <b>In {field.unit}.</b>}
      </small>
    </div>
  );
}

function Channels() {
  const name = useSignal("");
  const watched = useSignal("");
  const messages = useSignal<{ at: string; text: string }[]>([]);
  const error = useSignal("");
  useEffect(() => {
    if (watched.value === "") return undefined;
    messages.value = [];
    return connection.subscribe(watched.value, (message: Message) => {
      const at = format.time(Date.now() * 1_000);
      messages.value = [{ at, text: JSON.stringify(message) }, ...messages.value].slice(0, MESSAGES_SHOWN);
    });
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [watched.value]);
  const watch = (event: Event) => {
    event.preventDefault();
    error.value = "";
    const wanted = name.value.trim();
    // The exchange says what is wrong with the name; the connection would ask for it again after each loss.
    connection
      .request("public/subscribe", { channels: [wanted] })
      .then(() => (watched.value = wanted))
      .catch((failure: unknown) => (error.value = failure instanceof RpcError ? failure.text : String(failure)));
  };
  return (
    <Panel title="Channels" area="channels">
      <form class="buttons" onSubmit={watch}>
        <input
          aria-label="Channel"
          placeholder="trades.SOL"
          required
          value={name.value}
          onInput={(event) => (name.value = event.currentTarget.value)}
        />
        <button type="submit">Watch</button>
        {watched.value !== "" && (
          <button type="button" onClick={() => (watched.value = "")}>
            Stop
          </button>
        )}
      </form>
      {error.value !== "" && <p class="error">{error.value}</p>}
      {watched.value !== "" && (
        <p class="hint">
          The newest {MESSAGES_SHOWN} messages of {watched.value}:
        </p>
      )}
      <ol class="messages">
        {messages.value.map((it, n) => (
          <li key={messages.value.length - n}>
            <time>{it.at}</time> <code>{it.text}</code>
          </li>
        ))}
      </ol>
    </Panel>
  );
}
