/**
 * The link's wire format: how each frame is packed and unpacked, and nothing about when it may be sent.
 *
 * The twin of `src/portico/protocol/frames.py`, which explains it; `docs/protocol.md` is the specification. A frame is
 * a 12-byte header (type, flags, reserved, stream id, payload length; big-endian) and its payload; a WebSocket message
 * is a batch of whole frames. Both twins read `tests/vectors/frames.json`.
 */

export const SUBPROTOCOL = "portico.link.1";
export const HEADER_SIZE = 12;

export const FrameType = {
  HELLO: 0x01,
  WELCOME: 0x02,
  REGISTER: 0x03,
  UNREGISTER: 0x04,
  ACK: 0x05,
  OPEN: 0x10,
  HEAD: 0x11,
  DATA: 0x12,
  CLOSE: 0x13,
  WINDOW: 0x14,
  RESET: 0x15,
  PING: 0x20,
  PONG: 0x21,
  GOAWAY: 0x22,
} as const;

/** Types from here up may be ignored by who does not know them. */
export const FIRST_EXTENSION = 0x80;

/** On OPEN, HEAD and DATA: nothing more comes from this side. */
export const FIN = 0x01;
/** On DATA of a WebSocket: the message is text (UTF-8). */
export const TEXT = 0x02;
/** On DATA of a WebSocket: the message ends here. */
export const MESSAGE_END = 0x04;

export const Kind = { HTTP: 0, WEBSOCKET: 1 } as const;

/** Why a stream or a link ended early. Codes that are not known are read as PROTOCOL. */
export const ResetCode = {
  NO_ERROR: 0,
  CANCEL: 1,
  REFUSED: 2,
  APP_ERROR: 3,
  TIMEOUT: 4,
  TOO_LARGE: 5,
  FLOW: 6,
  PROTOCOL: 7,
  OVERLOAD: 8,
} as const;

/** Bytes of a reason that are sent. */
export const MAX_REASON = 512;

const MAX_STREAM_ID = 0x7fffffff;

/** Bytes that are no frame, or no frame of this version. The only error that reading throws. */
export class RemoteProtocolError extends Error {
  override name = "RemoteProtocolError";
}

/** A frame that cannot be made of what was given. The only error that packing throws. */
export class LocalProtocolError extends Error {
  override name = "LocalProtocolError";
}

export type JsonObject = { [key: string]: unknown };

/** Raw bytes, in order, duplicates kept. */
export type Headers = [name: Uint8Array, value: Uint8Array][];

export interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Uint8Array;
}

export interface Open {
  kind: number;
  service: Uint8Array;
  method: Uint8Array;
  scheme: Uint8Array;
  httpVersion: Uint8Array;
  rawPath: Uint8Array;
  query: Uint8Array;
  rootPath: Uint8Array;
  client: [host: Uint8Array, port: number];
  server: [host: Uint8Array, port: number];
  subprotocols: Uint8Array;
  identity: Uint8Array;
  headers: Headers;
}

export interface Head {
  status: number;
  accept: boolean;
  subprotocol: Uint8Array;
  headers: Headers;
}

export interface GoAway {
  lastStream: number;
  code: number;
  /** Milliseconds. */
  retryJitter: number;
  reason: string;
}

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true });
const lenient = new TextDecoder("utf-8");

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

// --- frames and batches -----------------------------------------------------------------------------------------

/** A frame of `payload`. */
export function pack(type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array {
  if (!(stream >= 0 && stream <= MAX_STREAM_ID)) {
    throw new LocalProtocolError(`${stream} is no stream id`);
  }
  const frame = new Uint8Array(HEADER_SIZE + payload.length);
  const view = viewOf(frame);
  view.setUint8(0, type);
  view.setUint8(1, flags);
  view.setUint32(4, stream);
  view.setUint32(8, payload.length);
  frame.set(payload, HEADER_SIZE);
  return frame;
}

/** The frames of a batch, in order. Payloads are views of `batch`, not copies. Throws `RemoteProtocolError`. */
export function* unpackBatch(batch: Uint8Array): Generator<Frame, void, undefined> {
  const view = viewOf(batch);
  let position = 0;
  while (position < batch.length) {
    const start = position + HEADER_SIZE;
    if (start > batch.length) {
      throw new RemoteProtocolError("a batch ends within a frame's header");
    }
    const end = start + view.getUint32(position + 8);
    if (end > batch.length) {
      throw new RemoteProtocolError("a batch ends within a frame");
    }
    yield {
      type: view.getUint8(position),
      flags: view.getUint8(position + 1),
      stream: view.getUint32(position + 4),
      payload: batch.subarray(start, end),
    };
    position = end;
  }
}

// --- control frames: JSON ---------------------------------------------------------------------------------------

/** A control frame: HELLO, WELCOME, REGISTER, UNREGISTER or ACK. Non-ASCII text is escaped, as Python does it. */
export function packJson(type: number, value: JsonObject): Uint8Array {
  const text = JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return pack(type, 0, 0, encoder.encode(text));
}

export function unpackJson(payload: Uint8Array): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(strict.decode(payload));
  } catch (error) {
    throw new RemoteProtocolError(`a control frame is not JSON: ${String(error)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new RemoteProtocolError("a control frame is not a JSON object");
  }
  return value as JsonObject;
}

// --- a payload, field by field ----------------------------------------------------------------------------------

class Writer {
  private readonly parts: Uint8Array[] = [];
  private size = 0;

  bytes(part: Uint8Array): this {
    this.parts.push(part);
    this.size += part.length;
    return this;
  }

  integer(value: number, width: 1 | 2 | 4, what: string): this {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * width)) {
      throw new LocalProtocolError(`${what} does not fit ${width} bytes: ${value}`);
    }
    const part = new Uint8Array(width);
    const view = viewOf(part);
    if (width === 1) view.setUint8(0, value);
    else if (width === 2) view.setUint16(0, value);
    else view.setUint32(0, value);
    return this.bytes(part);
  }

  headers(headers: Headers): this {
    for (const field of headers.flat()) this.integer(field.length, 2, "the length of a header field");
    for (const field of headers.flat()) this.bytes(field);
    return this;
  }

  done(): Uint8Array {
    const all = new Uint8Array(this.size);
    let position = 0;
    for (const part of this.parts) {
      all.set(part, position);
      position += part.length;
    }
    return all;
  }
}

class Reader {
  private position = 0;
  private readonly view: DataView;

  constructor(
    private readonly payload: Uint8Array,
    private readonly what: string,
  ) {
    this.view = viewOf(payload);
  }

  bytes(length: number): Uint8Array {
    const start = this.skip(length);
    return this.payload.subarray(start, start + length);
  }

  integer(width: 1 | 2 | 4): number {
    const at = this.skip(width);
    if (width === 1) return this.view.getUint8(at);
    return width === 2 ? this.view.getUint16(at) : this.view.getUint32(at);
  }

  headers(count: number): Headers {
    const lengths = Array.from({ length: count }, () => [this.integer(2), this.integer(2)] as const);
    const headers: Headers = lengths.map(([name, value]) => [this.bytes(name), this.bytes(value)]);
    if (this.position !== this.payload.length) {
      throw new RemoteProtocolError("a header block does not fill its frame");
    }
    return headers;
  }

  rest(): string {
    return lenient.decode(this.bytes(this.payload.length - this.position));
  }

  private skip(length: number): number {
    const start = this.position;
    this.position += length;
    if (this.position > this.payload.length) {
      throw new RemoteProtocolError(`${this.what} frame is too short`);
    }
    return start;
  }
}

// --- OPEN and HEAD ----------------------------------------------------------------------------------------------

export function packOpen(stream: number, flags: number, open: Open): Uint8Array {
  const fields = [
    open.service,
    open.method,
    open.scheme,
    open.httpVersion,
    open.rawPath,
    open.query,
    open.rootPath,
    open.client[0],
    open.server[0],
    open.subprotocols,
    open.identity,
  ];
  const writer = new Writer().integer(open.kind, 1, "the kind");
  for (const field of fields) writer.integer(field.length, 2, "the length of a field of the request");
  writer.integer(open.client[1], 2, "the client's port");
  writer.integer(open.server[1], 2, "the server's port");
  writer.integer(open.headers.length, 2, "the number of headers");
  for (const field of fields) writer.bytes(field);
  return pack(FrameType.OPEN, flags, stream, writer.headers(open.headers).done());
}

export function unpackOpen(payload: Uint8Array): Open {
  const reader = new Reader(payload, "an OPEN");
  const kind = reader.integer(1);
  if (kind > Kind.WEBSOCKET) {
    throw new RemoteProtocolError("an OPEN frame's fields do not fit it");
  }
  const lengths = Array.from({ length: 11 }, () => reader.integer(2));
  const clientPort = reader.integer(2);
  const serverPort = reader.integer(2);
  const count = reader.integer(2);
  const next = (): Uint8Array => reader.bytes(lengths.shift() ?? 0);
  return {
    kind,
    service: next(),
    method: next(),
    scheme: next(),
    httpVersion: next(),
    rawPath: next(),
    query: next(),
    rootPath: next(),
    client: [next(), clientPort],
    server: [next(), serverPort],
    subprotocols: next(),
    identity: next(),
    headers: reader.headers(count),
  };
}

/** Whether a HEAD may have the status: below 200, where it accepts no WebSocket, it would announce a second response. */
function mayBeStatus(status: number, accept: boolean): boolean {
  return status >= (accept ? 100 : 200) && status <= 999;
}

export function packHead(stream: number, flags: number, head: Head): Uint8Array {
  if (!mayBeStatus(head.status, head.accept)) {
    throw new LocalProtocolError(`${head.status} is not the status of such a HEAD`);
  }
  const payload = new Writer()
    .integer(head.status, 2, "the status")
    .integer(head.accept ? 1 : 0, 1, "accept")
    .integer(head.subprotocol.length, 2, "the length of the subprotocol")
    .integer(head.headers.length, 2, "the number of headers")
    .bytes(head.subprotocol)
    .headers(head.headers)
    .done();
  return pack(FrameType.HEAD, flags, stream, payload);
}

export function unpackHead(payload: Uint8Array): Head {
  const reader = new Reader(payload, "a HEAD");
  const status = reader.integer(2);
  const accepts = reader.integer(1);
  const accept = accepts === 1;
  const length = reader.integer(2);
  const count = reader.integer(2);
  if (accepts > 1 || !mayBeStatus(status, accept)) {
    throw new RemoteProtocolError("a HEAD frame's fields do not fit it");
  }
  return { status, accept, subprotocol: reader.bytes(length), headers: reader.headers(count) };
}

// --- small frames -----------------------------------------------------------------------------------------------

function reasonBytes(text: string): Uint8Array {
  return encoder.encode(text).subarray(0, MAX_REASON);
}

function knownCode(code: number): number {
  return code <= ResetCode.OVERLOAD ? code : ResetCode.PROTOCOL;
}

export function packClose(stream: number, code: number, reason: string): Uint8Array {
  const payload = new Writer().integer(code, 2, "a close code").bytes(reasonBytes(reason)).done();
  return pack(FrameType.CLOSE, 0, stream, payload);
}

export function unpackClose(payload: Uint8Array): { code: number; reason: string } {
  const reader = new Reader(payload, "a CLOSE");
  return { code: reader.integer(2), reason: reader.rest() };
}

/** Stream 0 is the link. */
export function packWindow(stream: number, credit: number): Uint8Array {
  return pack(FrameType.WINDOW, 0, stream, new Writer().integer(credit, 4, "credit").done());
}

export function unpackWindow(payload: Uint8Array): number {
  if (payload.length !== 4) {
    throw new RemoteProtocolError("a WINDOW frame is not 4 bytes long");
  }
  return new Reader(payload, "a WINDOW").integer(4);
}

export function packReset(stream: number, code: number, reason: string): Uint8Array {
  const payload = new Writer().integer(code, 1, "a code").bytes(reasonBytes(reason)).done();
  return pack(FrameType.RESET, 0, stream, payload);
}

export function unpackReset(payload: Uint8Array): { code: number; reason: string } {
  const reader = new Reader(payload, "a RESET");
  return { code: knownCode(reader.integer(1)), reason: reader.rest() };
}

export function packGoAway(goAway: GoAway): Uint8Array {
  const payload = new Writer()
    .integer(goAway.lastStream, 4, "a stream id")
    .integer(goAway.code, 1, "a code")
    .integer(goAway.retryJitter, 4, "the jitter")
    .bytes(reasonBytes(goAway.reason))
    .done();
  return pack(FrameType.GOAWAY, 0, 0, payload);
}

export function unpackGoAway(payload: Uint8Array): GoAway {
  const reader = new Reader(payload, "a GOAWAY");
  const lastStream = reader.integer(4);
  const code = knownCode(reader.integer(1));
  return { lastStream, code, retryJitter: reader.integer(4), reason: reader.rest() };
}

