/**
 * One request in the service worker: from a `Request` and a port to the `Response`, streaming both ways.
 *
 * Holds nothing but the request itself. What ends early says so: before the head as a page (500 or 502), after it as a
 * broken response; never as a clean end.
 */

import { APP_ERROR, BEAT, CREDIT, onClosed, own, type Pairs, SILENCE, type ToApp, type ToVisitor, WINDOW } from "./messages.ts";
import { problem } from "./problems.ts";

/** Statuses whose responses have no body (Fetch standard, "null body status"). */
const NO_BODY = new Set([101, 103, 204, 205, 304]);

/** Fields that are each hop's own (RFC 9110 §7.6.1). */
const HOP = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "trailer", "upgrade"]);

/** Bytes of a request's body in one message. */
const PIECE = 64 * 1024;

/** What `DecompressionStream` undoes: a browser leaves that to whoever fetched, and here that is nobody else. */
const CODINGS: Record<string, CompressionFormat> = { gzip: "gzip", "x-gzip": "gzip", deflate: "deflate" };

export interface Visit {
  response: Promise<Response>;
  /** Settles when nothing more comes or goes. Never rejects. */
  done: Promise<void>;
}

export interface Around {
  /** Whether the host is there still. Asked while the port is silent, which may only mean that Python computes. */
  alive(): Promise<boolean>;
  /** Whether the visitor's page is there still. Asked before the head: after it, the response's stream tells. */
  waiting(): Promise<boolean>;
}

/** Send *request*'s body over *port*, whose other end has its head already, and make a response of what comes. */
export function visit(request: Request, port: MessagePort, around: Around): Visit {
  const visiting = new Visiting(request, port, around);
  return { response: visiting.response, done: visiting.done };
}

class Visiting {
  readonly response: Promise<Response>;
  readonly done: Promise<void>;
  private answer!: (response: Response) => void;
  private finish!: () => void;
  private answered = false;
  private ended = false;
  private body: ReadableStreamDefaultController<Uint8Array> | undefined;
  private owed = 0;
  private window = WINDOW;
  private room: (() => void) | undefined;
  private heard = Date.now();
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(
    private readonly request: Request,
    private readonly port: MessagePort,
    private readonly around: Around,
  ) {
    this.response = new Promise((resolve) => (this.answer = resolve));
    this.done = new Promise((resolve) => (this.finish = resolve));
    port.onmessage = ({ data }: MessageEvent<ToVisitor>) => this.hear(data);
    onClosed(port, () => this.lost());
    this.timer = setInterval(() => void this.beat(), BEAT);
    request.signal.addEventListener("abort", () => this.leave()); // Chromium never says so before the head
    void this.upload();
  }

  private post(message: ToApp, transfer: Transferable[] = []): void {
    if (!this.ended) this.port.postMessage(message, transfer);
  }

  // --- the request's body -------------------------------------------------------------------------------------------

  private async upload(): Promise<void> {
    try {
      const body = await bodyOf(this.request);
      if (body === null) return;
      const reader = body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        // Browsers may give all of it at once: the app gets no more than there is room for.
        for (let at = 0; !done && at < value.byteLength && !this.ended; at += PIECE) {
          if (this.window <= 0) await new Promise<void>((resolve) => (this.room = resolve));
          this.send(value.subarray(at, at + PIECE), false);
        }
        if (this.ended) {
          await reader.cancel();
          return;
        }
        if (done) {
          this.send(new Uint8Array(), true);
          return;
        }
      }
    } catch {
      this.leave(); // the visitor's side of the body broke off
    }
  }

  private send(part: Uint8Array, fin: boolean): void {
    const bytes = own(part);
    this.window -= bytes.byteLength;
    this.post({ t: "data", bytes, fin }, [bytes.buffer]);
  }

  // --- what the app says --------------------------------------------------------------------------------------------

  private hear(message: ToVisitor): void {
    this.heard = Date.now();
    switch (message.t) {
      case "head":
        this.begin(message.status, message.headers);
        break;
      case "data":
        this.owed += message.bytes.byteLength;
        if (message.bytes.byteLength > 0) this.body?.enqueue(message.bytes);
        if (message.fin) {
          this.body?.close();
          this.end();
        }
        break;
      case "credit":
        this.window += message.bytes;
        this.room?.();
        break;
      case "reset":
        this.fail(
          message.code === APP_ERROR
            ? problem(this.request, 500, "app_error", "The app raised an exception. Whoever started it can see which.")
            : problem(this.request, 502, "provider_lost", "The app gave this request up."),
        );
        break;
    }
  }

  private begin(status: number, pairs: Pairs): void {
    if (status < 200 || status > 599) {
      this.post({ t: "gone" });
      this.fail(problem(this.request, 502, "bad_status", `The app answered with the status ${status}.`));
      return;
    }
    try {
      const headers = this.headersOf(pairs);
      const coding = CODINGS[(headers.get("content-encoding") ?? "").trim().toLowerCase()];
      let body: ReadableStream<Uint8Array> | null = null;
      if (this.request.method !== "HEAD" && !NO_BODY.has(status)) {
        body = this.stream();
        if (coding !== undefined) {
          headers.delete("content-encoding");
          headers.delete("content-length");
          body = body.pipeThrough(new DecompressionStream(coding) as TransformStream<Uint8Array, Uint8Array>);
        }
      }
      this.answered = true;
      this.answer(new Response(body, { status, headers }));
    } catch (error) {
      this.post({ t: "gone" });
      this.fail(problem(this.request, 502, "bad_head", `The app's answer is none that a browser takes: ${String(error)}`));
    }
  }

  private headersOf(pairs: Pairs): Headers {
    const headers = new Headers();
    for (const [name, value] of pairs) {
      // Without a URL of its own, a response made here has nothing that a relative one could be relative to.
      if (name === "location") headers.append(name, new URL(value, this.request.url).href);
      else if (!HOP.has(name)) headers.append(name, value);
    }
    return headers;
  }

  private stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.body = controller;
        },
        pull: () => {
          // Called while the visitor takes what was queued: so much may come anew.
          if (this.owed >= CREDIT) {
            this.post({ t: "credit", bytes: this.owed });
            this.owed = 0;
          }
        },
        cancel: () => this.leave(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: CREDIT }),
    );
  }

  // --- ends -------------------------------------------------------------------------------------------------------

  /** The visitor has left. */
  private leave(): void {
    if (this.ended) return;
    this.post({ t: "gone" });
    this.body = undefined;
    if (!this.answered) this.answer(Response.error());
    this.end();
  }

  private lost(): void {
    const why = "The tab that ran this app was closed, or the app was stopped.";
    this.fail(problem(this.request, 502, "host_gone", why));
  }

  private fail(response: Response): void {
    if (this.ended) return;
    if (!this.answered) this.answer(response);
    else this.body?.error(new TypeError("The app broke off its answer."));
    this.end();
  }

  private end(): void {
    if (this.ended) return;
    this.ended = true;
    clearInterval(this.timer);
    this.room?.();
    // Not closed: a message that was just posted could be lost with it. The app's side closes once it has done.
    this.finish();
  }

  private async beat(): Promise<void> {
    this.post({ t: "ping" });
    if (!this.answered && !(await this.around.waiting())) this.leave();
    else if (Date.now() - this.heard > SILENCE && !(await this.around.alive())) this.lost();
  }
}

/** The body as a stream; null if there is none. Where a browser shows no stream (Firefox), the whole of it. */
async function bodyOf(request: Request): Promise<ReadableStream<Uint8Array> | null> {
  if (!mayHaveBody(request)) return null;
  return request.body ?? (await request.blob()).stream();
}

/** Whether the request has a body, as far as can be told before it is read. */
export function mayHaveBody(request: Request): boolean {
  if (request.method === "GET" || request.method === "HEAD") return false;
  return !("body" in request) || request.body !== null;
}
