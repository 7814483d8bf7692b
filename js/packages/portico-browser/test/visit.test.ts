/** Both ends of a request's port: the service worker's and the app's, over a real MessageChannel. */

import { afterEach, describe, expect, it } from "vitest";

import { Exchanges, type Python, type RequestHead } from "portico-browser";

import { APP_ERROR, BEAT, SILENCE, WINDOW } from "../src/messages.ts";
import { visit, type Visit } from "../src/visit.ts";

const encoder = new TextEncoder();
const bytes = (text: string): Uint8Array => encoder.encode(text);
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

/** What stands where Python does: it notes what it is told, and tests answer through `exchanges`. */
class App implements Python {
  readonly exchanges: Exchanges;
  readonly opened: unknown[][] = [];
  readonly got: { bytes: Uint8Array; fin: boolean }[] = [];
  left = 0;
  room = 0;
  clock = 0;

  constructor() {
    this.exchanges = new Exchanges(this, undefined, () => this.clock);
  }
  open(...request: unknown[]): void {
    this.opened.push(request);
  }
  data(_: number, data: Uint8Array, fin: boolean): void {
    this.got.push({ bytes: data, fin });
  }
  gone(): void {
    this.left += 1;
  }
  writable(): void {
    this.room += 1;
  }
  get received(): number {
    return this.got.reduce((sum, { bytes: { byteLength } }) => sum + byteLength, 0);
  }
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await turn();
  }
}

const HEAD: RequestHead = {
  method: "GET",
  scheme: "http:",
  host: "127.0.0.1:8000",
  root: "/p/app",
  path: "/a%2Fb",
  query: "x=1",
  headers: [
    ["host", "127.0.0.1:8000"],
    ["x-twice", "1"],
    ["x-twice", "2"],
  ],
  body: false,
  cookies: true,
  sameSite: true,
  navigation: false,
};

const apps: App[] = [];
afterEach(() => {
  for (const app of apps.splice(0)) app.exchanges.close();
});

function asked(given: RequestInit & { duplex?: "half" } = {}, head: Partial<RequestHead> = {}): { app: App } & Visit {
  const app = new App();
  apps.push(app);
  const { port1, port2 } = new MessageChannel();
  const request = new Request("http://127.0.0.1:8000/p/app/a%2Fb?x=1", given);
  app.exchanges.take({ ...HEAD, method: request.method, body: request.body !== null, ...head }, port2);
  return { app, ...visit(request, port1, { alive: async () => true, waiting: async () => true }) };
}

describe("a response", () => {
  it("comes whole, its header fields as they were given", async () => {
    const { app, response, done } = asked();
    expect(app.opened).toEqual([
      [1, "GET", "http", "127.0.0.1:8000", "/p/app", "/a%2Fb", "x=1", "host\n127.0.0.1:8000\nx-twice\n1\nx-twice\n2", true],
    ]);
    app.exchanges.head(1, 201, "content-type\ttext/plain\nlink\na\nlink\nb".replace("\t", "\n"));
    app.exchanges.data(1, bytes("Hel"), false);
    app.exchanges.data(1, bytes("lo"), true);
    const answer = await response;
    expect([answer.status, answer.headers.get("link")]).toEqual([201, "a, b"]);
    expect(await answer.text()).toBe("Hello");
    await done;
    app.exchanges.release(1);
    expect(app.exchanges.inFlight).toBe(0);
  });

  it("comes as it is made, and only as far as it is read", async () => {
    const { app, response } = asked();
    app.exchanges.head(1, 200, "");
    const reader = ((await response).body as ReadableStream<Uint8Array>).getReader();
    const chunk = new Uint8Array(64 * 1024);
    let sent = 0;
    const fill = async (): Promise<void> => {
      for (let rooms = -1; rooms < app.room; await turn()) {
        rooms = app.room;
        while (app.exchanges.data(1, chunk.slice(), false)) sent += chunk.length;
      }
    };
    await fill();
    const unread = sent;
    expect(unread).toBeLessThan(2 * WINDOW);
    for (let read = 0; read < WINDOW; read += chunk.length) await reader.read();
    await fill();
    expect(sent - unread).toBeGreaterThan(WINDOW / 2);
    expect(sent - unread).toBeLessThan(2 * WINDOW);
  });

  it.each([204, 205, 304])("of status %i has no body", async (status) => {
    const { app, response, done } = asked();
    app.exchanges.head(1, status, "etag\n1");
    app.exchanges.data(1, undefined, true);
    const answer = await response;
    expect([answer.status, answer.body, answer.headers.get("etag")]).toEqual([status, null, "1"]);
    await done;
  });

  it("to HEAD keeps its length and has no body", async () => {
    const { app, response, done } = asked({ method: "HEAD" });
    app.exchanges.head(1, 200, "content-length\n5");
    app.exchanges.data(1, undefined, true);
    const answer = await response;
    expect([answer.body, answer.headers.get("content-length")]).toEqual([null, "5"]);
    await done;
  });

  it("that sends elsewhere says where from the root", async () => {
    const { app, response } = asked();
    app.exchanges.head(1, 307, "location\n../there?y=2");
    app.exchanges.data(1, undefined, true);
    expect((await response).headers.get("location")).toBe("http://127.0.0.1:8000/p/there?y=2");
  });

  it("that is compressed is undone, for nobody else does it", async () => {
    const { app, response } = asked();
    const packed = new Response(new Blob(["Hello"]).stream().pipeThrough(new CompressionStream("gzip")));
    app.exchanges.head(1, 200, "content-encoding\ngzip");
    app.exchanges.data(1, new Uint8Array(await packed.arrayBuffer()), true);
    const answer = await response;
    expect([await answer.text(), answer.headers.get("content-encoding")]).toEqual(["Hello", null]);
  });

  it("that no browser takes is a 502", async () => {
    for (const [status, headers] of [
      [101, ""],
      [999, ""],
      [200, "x-bad\na\u0000b"],
      [302, "location\nhttp://[bad"],
    ] as const) {
      const { app, response } = asked();
      app.exchanges.head(1, status, headers);
      expect((await response).status).toBe(502);
      await app.until(() => app.left === 1);
    }
  });
});

describe("a request's body", () => {
  it("comes in parts, and no further than the app takes it", async () => {
    const whole = 4 * WINDOW;
    let left = whole;
    const body = new ReadableStream<Uint8Array>({
      pull: (to) => (left > 0 ? to.enqueue(new Uint8Array(Math.min(left, 65536))) : to.close(), void (left -= 65536)),
    });
    const { app } = asked({ method: "POST", body, duplex: "half" });
    await app.until(() => app.received >= WINDOW);
    await turn();
    expect(app.received).toBeLessThan(2 * WINDOW);
    let used = 0;
    await app.until(() => {
      app.exchanges.credit(1, app.received - used);
      used = app.received;
      return app.got.at(-1)?.fin === true;
    });
    expect(app.received).toBe(whole);
  });
});

describe("cookies", () => {
  it("are kept on the app's side, and leave with the next request", async () => {
    const { app, response } = asked();
    app.exchanges.head(1, 200, "set-cookie\na=1; Path=/\nset-cookie\nb=2; Path=/");
    app.exchanges.data(1, undefined, true);
    expect((await response).headers.get("set-cookie")).toBeNull();
    app.exchanges.take(HEAD, new MessageChannel().port2);
    expect(app.opened[1]?.[7]).toContain("\ncookie\na=1; b=2");
    app.exchanges.take({ ...HEAD, cookies: false }, new MessageChannel().port2);
    expect(app.opened[2]?.[7]).not.toContain("cookie");
  });
});

describe("an end before the end", () => {
  it("of the visitor's reading is told to the app", async () => {
    const { app, response, done } = asked();
    app.exchanges.head(1, 200, "");
    app.exchanges.data(1, bytes("x"), false);
    await ((await response).body as ReadableStream).cancel();
    await app.until(() => app.left === 1);
    await done;
  });

  it("of the visitor's waiting too", async () => {
    const abort = new AbortController();
    const { app, response } = asked({ signal: abort.signal });
    abort.abort();
    expect((await response).type).toBe("error");
    await app.until(() => app.left === 1);
  });

  it("of the app is a 500, or a broken body, never a whole one", async () => {
    const early = asked();
    early.app.exchanges.reset(1, APP_ERROR, "the app raised an exception");
    expect((await early.response).status).toBe(500);
    const late = asked();
    late.app.exchanges.head(1, 200, "");
    late.app.exchanges.reset(1, APP_ERROR, "the app raised an exception");
    await expect((await late.response).text()).rejects.toThrow(TypeError);
  });

  it("of the app's worker is a 502, or a broken body", async () => {
    const early = asked();
    early.app.exchanges.close();
    const answer = await early.response;
    expect([answer.status, (await answer.json()).error.code]).toEqual([502, "host_gone"]);
    const late = asked();
    late.app.exchanges.head(1, 200, "");
    const body = (await late.response).text();
    late.app.exchanges.close();
    await expect(body).rejects.toThrow(TypeError);
  });

  it("of the service worker is told to the app by its silence, but not by the app's own", () => {
    const app = new App();
    apps.push(app);
    app.exchanges.take(HEAD, new MessageChannel().port2);
    app.clock += 60_000; // Python computed for a minute: nothing could be heard
    app.exchanges.tick();
    expect(app.left).toBe(0);
    for (let waited = 0; waited <= SILENCE; waited += BEAT) {
      app.clock += BEAT;
      app.exchanges.tick();
    }
    expect(app.left).toBe(1);
  });
});
