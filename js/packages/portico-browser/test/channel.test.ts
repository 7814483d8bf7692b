/** A request's port over a real BroadcastChannel. */

import { expect, it } from "vitest";

import { listen, throughChannel } from "../src/channel.ts";
import { Exchanges, type Python } from "../src/exchanges.ts";
import type { RequestHead } from "../src/messages.ts";
import { visit } from "../src/visit.ts";

const HEAD: RequestHead = {
  method: "POST",
  scheme: "http:",
  host: "127.0.0.1",
  root: "/p/app",
  path: "/",
  query: "",
  headers: [["host", "127.0.0.1"]],
  body: true,
  cookies: true,
  sameSite: true,
  navigation: false,
};
const around = { alive: async () => true, waiting: async () => true };

/** Sends each request's body back, and stays open while it is empty. */
class Echo implements Python {
  readonly exchanges = new Exchanges(this);
  readonly left: number[] = [];
  open(id: number): void {
    this.exchanges.head(id, 200, "x-a\n1\nx-a\n2");
  }
  data(id: number, bytes: Uint8Array, fin: boolean): void {
    if (fin) {
      this.exchanges.data(id, undefined, true);
      this.exchanges.release(id);
    } else this.exchanges.data(id, bytes, false);
  }
  gone(id: number): void {
    this.left.push(id);
    this.exchanges.release(id);
  }
  writable(): void {}
}

it("carries both bodies, and both ends", async () => {
  const echo = new Echo();
  const stop = listen("a channel", echo.exchanges);
  const { give, close } = throughChannel("a channel");
  const ask = (body: BodyInit): Promise<Response> => {
    const { port1, port2 } = new MessageChannel();
    give(HEAD, port2);
    return visit(new Request("http://127.0.0.1/p/app/", { method: "POST", body, duplex: "half" } as RequestInit), port1, around)
      .response;
  };
  const answer = await ask("x".repeat(500_000));
  expect(answer.headers.get("x-a")).toBe("1, 2");
  expect((await answer.text()).length).toBe(500_000);
  const open = await ask(new ReadableStream());
  await (open.body as ReadableStream).cancel();
  while (echo.left.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const broken = (await ask(new ReadableStream())).text();
  stop();
  await expect(broken).rejects.toThrow(TypeError);
  close();
});
