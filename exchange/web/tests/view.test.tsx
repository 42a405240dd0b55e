import { render } from "preact";
import { expect, test, vi } from "vitest";

interface Sent {
  id: number;
  method: string;
}

class FakeSocket {
  static readonly OPEN = 1;
  static last: FakeSocket;
  readyState = 1;
  sent: Sent[] = [];
  onopen: () => void = () => undefined;
  onmessage: (event: { data: string }) => void = () => undefined;
  onclose: () => void = () => undefined;
  constructor() {
    FakeSocket.last = this;
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text) as Sent);
  }
  close(): void {
    this.onclose();
  }
}

test("a view subscribes before it asks, so that no change between the two is missed", async () => {
  vi.stubGlobal("WebSocket", FakeSocket);
  const { connection } = await import("../src/store/exchange");
  const { useView } = await import("../src/store/view");
  function Shown() {
    const { data } = useView<number>("time", () => ({
      ask: async () => (await connection.request("public/get_time", {})).ts_us,
      channels: ["trades.SOL"],
      fold: (state) => state,
    }));
    return <p>{data}</p>;
  }
  connection.open();
  FakeSocket.last.onopen();
  render(<Shown />, document.body);
  await vi.waitFor(() => expect(FakeSocket.last.sent.length).toBeGreaterThan(1));
  expect(FakeSocket.last.sent.map((it) => it.method)).toEqual(["public/subscribe", "public/get_time"]);
});
