/**
 * The app's side of a preview: each request's port on one hand, Python on the other.
 *
 * Runs where Pyodide does. Python is told of what comes by four functions, and calls `head`, `data`, `reset`, `credit` and
 * `release`, all by a number for the request: no object crosses but the bytes. `src/portico/tab/bridge.py` is the other
 * half. Ports, credit, heartbeats and cookies are kept here.
 */

import { type Asked, CookieJar } from "./cookies.ts";
import {
  BEAT,
  CREDIT,
  onClosed,
  own,
  type Pairs,
  type RequestHead,
  SILENCE,
  type ToApp,
  type ToVisitor,
  WINDOW,
} from "./messages.ts";

/** What Python is told. *headers* are names and values in turn, one a line. */
export interface Python {
  open(
    id: number,
    method: string,
    scheme: string,
    host: string,
    root: string,
    path: string,
    query: string,
    headers: string,
    fin: boolean,
  ): void;
  data(id: number, bytes: Uint8Array, fin: boolean): void;
  /** The visitor has left, or the service worker was ended. */
  gone(id: number): void;
  /** There is room again after `data` said that there was none. */
  writable(id: number): void;
}

interface Exchange {
  port: MessagePort;
  asked: Asked;
  cookies: boolean;
  /** Bytes that may be sent to the visitor. */
  window: number;
  /** Whether Python waits for room. */
  full: boolean;
  /** Bytes used up that the other side has not been told of. */
  owed: number;
  /** Milliseconds on the clock when the service worker was last heard. */
  heard: number;
  /** Whether Python was told that the visitor has left. */
  left: boolean;
}

export class Exchanges {
  private readonly open = new Map<number, Exchange>();
  private last = 0;
  private timer: ReturnType<typeof setInterval> | undefined;
  private ticked = 0;

  /** *now* gives milliseconds, and never goes back. */
  constructor(
    private readonly python: Python,
    private readonly jar: CookieJar = new CookieJar(),
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** A request has come. */
  take(head: RequestHead, port: MessagePort): void {
    const id = (this.last += 1);
    const asked: Asked = {
      path: head.root + head.path,
      secure: head.scheme === "https:" || isLocal(head.host),
      sameSite: head.sameSite,
      navigation: head.navigation,
      method: head.method,
    };
    const exchange: Exchange = {
      port,
      asked,
      cookies: head.cookies,
      window: WINDOW,
      full: false,
      owed: 0,
      heard: this.now(),
      left: false,
    };
    this.open.set(id, exchange);
    port.onmessage = ({ data }: MessageEvent<ToApp>) => this.heard(id, exchange, data);
    onClosed(port, () => this.lost(id, exchange));
    this.watch();
    const cookie = head.cookies ? this.jar.header(asked) : "";
    const headers: Pairs = cookie ? [...head.headers, ["cookie", cookie]] : head.headers;
    const { method, host, root, path, query } = head;
    const scheme = head.scheme.replace(":", "");
    this.python.open(id, method, scheme, host, root, path, query, headers.flat().join("\n"), !head.body);
  }

  // --- what Python calls ------------------------------------------------------------------------------------------

  head(id: number, status: number, text: string): void {
    const exchange = this.open.get(id);
    if (exchange === undefined) return;
    const fields = text === "" ? [] : text.split("\n");
    const headers: Pairs = [];
    for (let at = 0; at + 1 < fields.length; at += 2) {
      const [name, value] = [fields[at] as string, fields[at + 1] as string];
      if (name !== "set-cookie") headers.push([name, value]);
      else if (exchange.cookies) this.jar.take(value, exchange.asked);
    }
    this.post(exchange, { t: "head", status, headers });
  }

  /** Whether there is room for more; if not, Python is told when there is. */
  data(id: number, bytes: Uint8Array | undefined, fin: boolean): boolean {
    const exchange = this.open.get(id);
    if (exchange === undefined) return true;
    const sent = own(bytes ?? new Uint8Array());
    exchange.window -= sent.byteLength;
    this.post(exchange, { t: "data", bytes: sent, fin }, [sent.buffer]);
    exchange.full = exchange.window <= 0;
    return !exchange.full;
  }

  reset(id: number, code: number, reason: string): void {
    const exchange = this.open.get(id);
    if (exchange !== undefined) this.post(exchange, { t: "reset", code, reason });
  }

  /** Python has used up so many bytes of the request's body. */
  credit(id: number, bytes: number): void {
    const exchange = this.open.get(id);
    if (exchange === undefined) return;
    exchange.owed += bytes;
    if (exchange.owed >= CREDIT) {
      this.post(exchange, { t: "credit", bytes: exchange.owed });
      exchange.owed = 0;
    }
  }

  /** Python has done with the request. */
  release(id: number): void {
    const exchange = this.open.get(id);
    if (exchange === undefined) return;
    this.open.delete(id);
    exchange.port.close();
    if (this.open.size === 0) this.rest();
  }

  /** Requests that Python has not done with. */
  get inFlight(): number {
    return this.open.size;
  }

  /** The app is stopped: whoever still waits is told by their ports' end. */
  close(): void {
    for (const { port } of this.open.values()) port.close();
    this.open.clear();
    this.rest();
  }

  // --- what the service worker says -------------------------------------------------------------------------------

  private heard(id: number, exchange: Exchange, message: ToApp): void {
    exchange.heard = this.now();
    switch (message.t) {
      case "data":
        this.python.data(id, message.bytes, message.fin);
        break;
      case "credit":
        exchange.window += message.bytes;
        if (exchange.full && exchange.window > 0) {
          exchange.full = false;
          this.python.writable(id);
        }
        break;
      case "ping":
        this.post(exchange, { t: "pong" });
        break;
      case "gone":
        this.lost(id, exchange);
        break;
    }
  }

  private lost(id: number, exchange: Exchange): void {
    if (exchange.left || !this.open.has(id)) return;
    exchange.left = true;
    this.python.gone(id);
  }

  private post(exchange: Exchange, message: ToVisitor, transfer: Transferable[] = []): void {
    exchange.port.postMessage(message, transfer);
  }

  // --- the heartbeat ----------------------------------------------------------------------------------------------

  private watch(): void {
    if (this.timer !== undefined) return;
    this.ticked = this.now();
    this.timer = setInterval(() => this.tick(), BEAT);
  }

  private rest(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** Look who has fallen silent. Called every `BEAT`; one that comes late says that this side was busy, not the other. */
  tick(): void {
    const now = this.now();
    const late = now - this.ticked - BEAT;
    this.ticked = now;
    for (const [id, exchange] of this.open) {
      if (late > 0) exchange.heard += late;
      if (now - exchange.heard > SILENCE) this.lost(id, exchange);
    }
  }
}

/** Hosts that browsers trust without TLS. */
function isLocal(host: string): boolean {
  return /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/.test(host);
}
