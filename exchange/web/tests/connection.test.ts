import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Connection, RpcError, type Message } from "../src/api/connection";

interface Sent {
  id: number;
  method: string;
  params: Record<string, unknown>;
}

class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readyState = 0;
  sent: Sent[] = [];
  onopen: () => void = () => undefined;
  onmessage: (event: { data: string }) => void = () => undefined;
  onclose: () => void = () => undefined;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  static get last(): FakeSocket {
    const socket = FakeSocket.all.at(-1);
    if (socket === undefined) throw new Error("no socket was opened");
    return socket;
  }

  open(): void {
    this.readyState = 1;
    this.onopen();
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Sent);
  }

  close(): void {
    this.readyState = 3;
    this.onclose();
  }

  answer(method: string, result: unknown): void {
    const request = this.sent.findLast((it) => it.method === method);
    this.onmessage({ data: JSON.stringify({ jsonrpc: "2.0", id: request?.id, result }) });
  }

  notify(channel: string, seq: number, data: unknown): void {
    const params = { channel, seq, data };
    this.onmessage({ data: JSON.stringify({ jsonrpc: "2.0", method: "subscription", params }) });
  }

  subscriptions(): Record<string, unknown>[] {
    return this.sent.filter((it) => it.method === "public/subscribe").map((it) => it.params);
  }
}

const turn = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
  vi.stubGlobal("WebSocket", FakeSocket);
});
afterEach(() => vi.useRealTimers());

async function opened(): Promise<Connection> {
  const connection = new Connection("ws://test/");
  connection.open();
  FakeSocket.last.open();
  await turn();
  return connection;
}

test("an answer and an error reach their requests", async () => {
  const connection = await opened();
  const asked = connection.request("public/get_time", {});
  FakeSocket.last.answer("public/get_time", { time_us: 5 });
  expect(await asked).toEqual({ time_us: 5 });
  const refused = connection.request("public/get_time", {});
  const { id } = FakeSocket.last.sent.at(-1) ?? { id: 0 };
  const error = { code: 1007, message: "Rate limit exceeded", data: { detail: "wait" } };
  FakeSocket.last.onmessage({ data: JSON.stringify({ id, error }) });
  await expect(refused).rejects.toEqual(new RpcError(1007, "Rate limit exceeded", { detail: "wait" }));
});

test("after a lost connection a stream goes on where it was, and repeats nothing", async () => {
  const connection = await opened();
  const seen: number[] = [];
  connection.subscribe("trades.SOL", (message: Message) => seen.push(message.seq));
  connection.subscribe("book.X.10", () => undefined);
  await turn();
  expect(FakeSocket.last.subscriptions()).toEqual([{ channels: ["trades.SOL", "book.X.10"] }]);
  FakeSocket.last.notify("trades.SOL", 7, []);
  const pending = connection.request("public/get_time", {});
  FakeSocket.last.close();
  await expect(pending).rejects.toMatchObject({ code: 0 });
  expect(connection.state.value).toBe("lost");
  await vi.advanceTimersByTimeAsync(10_000);
  FakeSocket.last.open();
  await turn();
  expect(FakeSocket.last.subscriptions()).toEqual([
    { channels: ["book.X.10"] },
    { channels: ["trades.SOL"], from_seq: 7 },
  ]);
  FakeSocket.last.notify("trades.SOL", 7, []);
  FakeSocket.last.notify("trades.SOL", 9, []);
  expect(seen).toEqual([7, 9]);
});

test("after a lost connection the user is logged in before its channels", async () => {
  const connection = await opened();
  const login = connection.login({ client_id: "alice", client_secret: "" });
  FakeSocket.last.answer("public/auth", { user_id: "alice" });
  await login;
  connection.subscribe("user.orders", () => undefined);
  await turn();
  FakeSocket.last.close();
  await vi.advanceTimersByTimeAsync(10_000);
  FakeSocket.last.open();
  await turn();
  expect(FakeSocket.last.sent.map((it) => it.method)).toEqual(["public/auth"]);
  FakeSocket.last.answer("public/auth", { user_id: "alice" });
  await turn();
  expect(FakeSocket.last.subscriptions()).toEqual([{ channels: ["user.orders"] }]);
});

test("a channel ends with its last listener", async () => {
  const connection = await opened();
  const [first, second] = [vi.fn(), vi.fn()];
  const end = connection.subscribe("index.SOL", first);
  const endToo = connection.subscribe("index.SOL", second);
  await turn();
  FakeSocket.last.notify("index.SOL", 3, {});
  end();
  FakeSocket.last.notify("index.SOL", 4, {});
  endToo();
  expect([first.mock.calls.length, second.mock.calls.length]).toEqual([1, 2]);
  expect(FakeSocket.last.sent.at(-1)?.method).toBe("public/unsubscribe");
});

test("a long question has a connection of its own, logged in as the same user", async () => {
  const connection = new Connection("ws://x/");
  connection.open();
  const first = FakeSocket.last;
  first.open();
  const login = connection.login({ client_id: "alice", client_secret: "s" });
  first.answer("public/auth", { user_id: "alice" });
  await login;
  const asked = connection.aside("public/get_time", {});
  const second = FakeSocket.last;
  expect(second).not.toBe(first);
  second.open();
  expect(second.sent.map((it) => it.method)).toEqual(["public/auth", "public/get_time"]);
  expect(second.sent[0]?.params["client_id"]).toBe("alice");
  second.answer("public/auth", { user_id: "alice" });
  second.answer("public/get_time", { ts_us: 7 });
  expect(await asked).toEqual({ ts_us: 7 });
  expect([first.readyState, second.readyState]).toEqual([1, 3]);
});

test("a long question that loses its connection says so", async () => {
  const asked = new Connection("ws://x/").aside("public/get_time", {});
  FakeSocket.last.close();
  await expect(asked).rejects.toThrow("the connection was lost");
});
