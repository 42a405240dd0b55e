// One WebSocket to the exchange: requests with answers, and channels that survive a lost connection.
//
// After a reconnect it logs in again and subscribes again: streams with `from_seq`, so that no message is missed and
// none comes twice; the others begin with the present state anyway.
import { signal } from "@preact/signals";
import type { Methods } from "./types";

export type MethodName = keyof Methods;
export type Params<M extends MethodName> = Methods[M]["params"];
export type Result<M extends MethodName> = Methods[M]["result"];

export interface ErrorData {
  reason?: string;
  detail?: string;
  param?: string;
  [key: string]: unknown;
}

/** A refusal by the exchange, or the loss of the connection before the answer (code 0). */
export class RpcError extends Error {
  constructor(
    readonly code: number,
    message: string,
    readonly data: ErrorData = {},
  ) {
    super(message);
  }

  /** What went wrong, in words. */
  get text(): string {
    return this.data.detail ?? this.message;
  }
}

export interface Message {
  channel: string;
  seq: number;
  data: unknown;
}

export interface Credentials {
  client_id: string;
  client_secret: string;
}

interface RpcFailure {
  code: number;
  message: string;
  data?: ErrorData;
}

type Listener = (message: Message) => void;
type State = "connecting" | "open" | "lost";

interface Pending {
  resolve: (result: never) => void;
  reject: (error: RpcError) => void;
}

// Channels whose first message is the present state: a gap in them does not matter.
const STATE_CHANNEL = /^(book|tickers|quote|candles)\./;
const RECONNECT_MS = [200, 500, 1_000, 2_000, 5_000];

class Channel {
  readonly listeners = new Set<Listener>();
  // The last command whose message was seen.
  seq = 0;
  constructor(readonly name: string) {}

  get isStream(): boolean {
    return !STATE_CHANNEL.test(this.name);
  }
}

export class Connection {
  readonly state = signal<State>("connecting");
  /** The user that is logged in; empty: nobody. */
  readonly user = signal("");
  /** Why the login after a reconnect failed. */
  readonly loginError = signal("");
  /** Rises with each connection: what was asked on an older one is asked again. */
  readonly generation = signal(0);
  /** The newest command that any message was about. */
  readonly seq = signal(0);

  private socket: WebSocket | null = null;
  private nextId = 1;
  private attempts = 0;
  private credentials: Credentials | null = null;
  private readonly pending = new Map<number, Pending>();
  private readonly channels = new Map<string, Channel>();
  private readonly wanted = new Set<Channel>();

  constructor(private readonly url: string) {}

  open(): void {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onopen = () => void this.begin();
    socket.onmessage = (event) => this.receive(JSON.parse(String(event.data)) as Record<string, unknown>);
    socket.onclose = () => this.lose();
  }

  request<M extends MethodName>(method: M, params: Params<M>): Promise<Result<M>> {
    return new Promise((resolve, reject) => {
      if (this.socket?.readyState !== WebSocket.OPEN) {
        reject(new RpcError(0, "there is no connection to the exchange"));
        return;
      }
      const id = this.nextId++;
      this.pending.set(id, { resolve: resolve, reject });
      this.socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }

  /** Ask on a connection of its own, as the same user: a question that takes long keeps no other one waiting. */
  aside<M extends MethodName>(method: M, params: Params<M>): Promise<Result<M>> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(this.url);
      const login = { grant_type: "client_credentials", ...this.credentials };
      socket.onopen = () => {
        socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "public/auth", params: login }));
        socket.send(JSON.stringify({ jsonrpc: "2.0", id: 2, method, params }));
      };
      socket.onmessage = (event) => {
        const answer = JSON.parse(String(event.data)) as { id?: number; error?: RpcFailure; result?: Result<M> };
        if (answer.error !== undefined) {
          const { code, message, data } = answer.error;
          reject(new RpcError(code, message, data));
        } else if (answer.id === 2) {
          resolve(answer.result as Result<M>);
        } else {
          return;
        }
        socket.close();
      };
      socket.onclose = () => reject(new RpcError(0, "the connection was lost before the answer"));
    });
  }

  /** Log in. Throws RpcError; the user of before stays logged in then. */
  async login(credentials: Credentials): Promise<Result<"public/auth">> {
    const login = await this.request("public/auth", { grant_type: "client_credentials", ...credentials });
    this.credentials = credentials;
    this.loginError.value = "";
    this.user.value = credentials.client_id.split(":")[0] ?? "";
    // The streams of a user begin anew.
    for (const channel of this.channels.values()) {
      if (channel.name.startsWith("user.")) {
        channel.seq = 0;
        this.want(channel);
      }
    }
    return login;
  }

  logout(): void {
    this.credentials = null;
    this.user.value = "";
    // The protocol has no logout: another connection has nobody's rights.
    this.socket?.close();
  }

  /** Listen to a channel until the returned function is called. */
  subscribe(name: string, listener: Listener): () => void {
    let channel = this.channels.get(name);
    if (channel === undefined) {
      channel = new Channel(name);
      this.channels.set(name, channel);
      this.want(channel);
    } else if (!channel.isStream) {
      // This listener needs the first message too.
      channel.seq = 0;
      this.want(channel);
    }
    channel.listeners.add(listener);
    return () => this.unsubscribe(channel, listener);
  }

  private unsubscribe(channel: Channel, listener: Listener): void {
    channel.listeners.delete(listener);
    if (channel.listeners.size > 0 || this.channels.get(channel.name) !== channel) return;
    this.channels.delete(channel.name);
    this.wanted.delete(channel);
    if (this.state.value === "open") {
      this.request("public/unsubscribe", { channels: [channel.name] }).catch(() => undefined);
    }
  }

  // Channels that are wanted in one turn are subscribed together.
  private want(channel: Channel): void {
    if (this.wanted.size === 0) queueMicrotask(() => this.subscribeWanted());
    this.wanted.add(channel);
  }

  private subscribeWanted(): void {
    if (this.state.value !== "open") return;
    const channels = [...this.wanted].filter((it) => it.listeners.size > 0);
    this.wanted.clear();
    const isAllowed = (it: Channel) => !it.name.startsWith("user.") || this.user.value !== "";
    const fresh = channels.filter((it) => isAllowed(it) && !(it.isStream && it.seq > 0));
    const resumed = channels.filter((it) => isAllowed(it) && it.isStream && it.seq > 0);
    if (fresh.length > 0) this.send(fresh);
    if (resumed.length > 0) this.send(resumed, Math.min(...resumed.map((it) => it.seq)));
  }

  private send(channels: Channel[], fromSeq?: number): void {
    const names = channels.map((it) => it.name) as [string, ...string[]];
    this.request("public/subscribe", {
      channels: names,
      ...(fromSeq === undefined ? {} : { from_seq: fromSeq }),
    }).catch((error: unknown) => {
      if (!(error instanceof RpcError) || error.code === 0) return;
      if (channels.length > 1) {
        // One name refuses all of them.
        for (const channel of channels) this.send([channel], fromSeq);
      } else if (fromSeq !== undefined) {
        // The commands since then are archived: begin with the present.
        for (const channel of channels) channel.seq = 0;
        this.send(channels);
      }
    });
  }

  private async begin(): Promise<void> {
    this.attempts = 0;
    if (this.credentials !== null) {
      try {
        await this.request("public/auth", { grant_type: "client_credentials", ...this.credentials });
      } catch (error) {
        if (error instanceof RpcError && error.code === 0) return;
        this.credentials = null;
        this.user.value = "";
        this.loginError.value = error instanceof RpcError ? error.text : String(error);
      }
    }
    this.state.value = "open";
    this.generation.value += 1;
    for (const channel of this.channels.values()) this.wanted.add(channel);
    this.subscribeWanted();
  }

  private lose(): void {
    this.state.value = "lost";
    for (const { reject } of this.pending.values())
      reject(new RpcError(0, "the connection was lost before the answer"));
    this.pending.clear();
    const wait = RECONNECT_MS[Math.min(this.attempts++, RECONNECT_MS.length - 1)];
    setTimeout(() => this.open(), wait);
  }

  private receive(message: Record<string, unknown>): void {
    if (message["method"] === "subscription") {
      this.notify(message["params"] as Message);
    } else if (message["method"] === "test_request" || message["method"] === "heartbeat") {
      this.request("public/test", {}).catch(() => undefined);
    } else {
      const pending = this.pending.get(Number(message["id"]));
      this.pending.delete(Number(message["id"]));
      const error = message["error"] as RpcFailure | undefined;
      if (error === undefined) pending?.resolve(message["result"] as never);
      else pending?.reject(new RpcError(error.code, error.message, error.data));
    }
  }

  private notify(message: Message): void {
    const channel = this.channels.get(message.channel);
    if (message.seq > this.seq.value) this.seq.value = message.seq;
    if (channel === undefined) return;
    // A stream that goes on repeats the messages of the last command that was seen.
    if (channel.isStream && message.seq <= channel.seq) return;
    channel.seq = message.seq;
    for (const listener of [...channel.listeners]) listener(message);
  }
}
