/** The codec against tests/vectors, which Python's tests read too, and against bytes that are no frames. */

import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import * as frames from "../src/frames.ts";
import { FIN, FrameType, MESSAGE_END, RemoteProtocolError, TEXT } from "../src/frames.ts";

interface Vector {
  name: string;
  hex: string;
  meaning: string;
}

const VECTORS: Vector[] = JSON.parse(
  readFileSync(new URL("../../../../tests/vectors/frames.json", import.meta.url), "utf-8"),
);

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const unhex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));
const hex = (data: Uint8Array): string => Buffer.from(data).toString("hex");

function vector(name: string): Uint8Array {
  const found = VECTORS.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`there is no vector ${name}`);
  return unhex(found.hex);
}

function only(batch: Uint8Array): frames.Frame {
  const [frame, ...more] = frames.unpackBatch(batch);
  expect(more).toEqual([]);
  return frame as frames.Frame;
}

/** Read a frame by its type, and make it anew of what was read. */
function remade(batch: Uint8Array): Uint8Array {
  const { type, flags, stream, payload } = only(batch);
  switch (type) {
    case FrameType.HELLO:
    case FrameType.WELCOME:
    case FrameType.REGISTER:
    case FrameType.UNREGISTER:
    case FrameType.ACK:
      return frames.packJson(type, frames.unpackJson(payload));
    case FrameType.OPEN:
      return frames.packOpen(stream, flags, frames.unpackOpen(payload));
    case FrameType.HEAD:
      return frames.packHead(stream, flags, frames.unpackHead(payload));
    case FrameType.CLOSE: {
      const { code, reason } = frames.unpackClose(payload);
      return frames.packClose(stream, code, reason);
    }
    case FrameType.WINDOW:
      return frames.packWindow(stream, frames.unpackWindow(payload));
    case FrameType.RESET: {
      const { code, reason } = frames.unpackReset(payload);
      return frames.packReset(stream, code, reason);
    }
    case FrameType.GOAWAY:
      return frames.packGoAway(frames.unpackGoAway(payload));
    default:
      return frames.pack(type, flags, stream, payload);
  }
}

describe("the vectors", () => {
  it.each(VECTORS)("$name: $meaning", ({ hex: given }) => {
    expect(hex(remade(unhex(given)))).toBe(given);
  });

  it("are one batch too", () => {
    const all = unhex(VECTORS.map((one) => one.hex).join(""));
    expect([...frames.unpackBatch(all)]).toHaveLength(VECTORS.length);
  });

  it("mean what they say", () => {
    const open = frames.unpackOpen(only(vector("open http")).payload);
    expect(open).toEqual({
      kind: frames.Kind.HTTP,
      service: bytes("cat"),
      method: bytes("POST"),
      scheme: bytes("https"),
      httpVersion: bytes("1.1"),
      rawPath: bytes("/a%2Fb//c"),
      query: bytes("a=b=c"),
      rootPath: bytes("/portico/apps/cat"),
      client: [bytes("203.0.113.7"), 50123],
      server: [bytes("hub.example.com"), 443],
      subprotocols: bytes(""),
      identity: bytes('{"access":"key"}'),
      headers: [
        [bytes("host"), bytes("hub.example.com")],
        [bytes("x-twice"), bytes("1")],
        [bytes("x-twice"), bytes("2")],
        [bytes("x-empty"), bytes("")],
      ],
    });
    const accepted = frames.unpackHead(only(vector("head that accepts")).payload);
    expect(accepted).toEqual({ status: 101, accept: true, subprotocol: bytes("chat"), headers: [] });
    expect(only(vector("text message"))).toMatchObject({ flags: TEXT | MESSAGE_END, payload: bytes("日") });
    expect(only(vector("fin alone"))).toMatchObject({ flags: FIN, payload: bytes("") });
    expect(frames.unpackClose(only(vector("close")).payload)).toEqual({ code: 4001, reason: "bye" });
    expect(frames.unpackWindow(only(vector("window of the link")).payload)).toBe(8388608);
    expect(frames.unpackReset(only(vector("reset")).payload)).toEqual({ code: 1, reason: "the visitor left" });
    expect(frames.unpackGoAway(only(vector("goaway")).payload)).toEqual({
      lastStream: 3,
      code: 0,
      retryJitter: 5000,
      reason: "restarting",
    });
    expect(frames.unpackJson(only(vector("register")).payload)).toMatchObject({ request: 1, service: { name: "cat" } });
  });
});

describe("bytes that are no frames", () => {
  const read = (batch: Uint8Array): void => {
    for (const { type, flags, stream, payload } of frames.unpackBatch(batch)) {
      remade(frames.pack(type, flags, stream, payload));
    }
  };

  it("give an error of their own when cut short anywhere", () => {
    for (const { hex: given } of VECTORS) {
      const whole = unhex(given);
      for (let length = 1; length < whole.length; length += 1) {
        expect(() => read(whole.subarray(0, length))).toThrow(RemoteProtocolError);
      }
    }
  });

  it("give that error or a frame for every payload that is shorter than it says", () => {
    for (const { hex: given } of VECTORS) {
      const { type, flags, stream, payload } = only(unhex(given));
      for (let length = 0; length < payload.length; length += 1) {
        try {
          read(frames.pack(type, flags, stream, payload.subarray(0, length)));
        } catch (error) {
          expect(error).toBeInstanceOf(RemoteProtocolError);
        }
      }
    }
  });
});

describe("what does not fit a frame", () => {
  it("is refused, and never cut", () => {
    const long = new Uint8Array(0x10000);
    const head = { status: 200, accept: false, subprotocol: new Uint8Array(), headers: [] };
    expect(() => frames.packHead(1, 0, { ...head, headers: [[long, long]] })).toThrow(frames.LocalProtocolError);
    for (const status of [99, 101, 199, 1000, 70000]) {
      expect(() => frames.packHead(1, 0, { ...head, status })).toThrow(frames.LocalProtocolError);
      const payload = new Uint8Array([status >> 8, status & 255, 0, 0, 0, 0, 0]);
      if (status < 65536) expect(() => frames.unpackHead(payload)).toThrow(frames.RemoteProtocolError);
    }
    expect(() => frames.pack(FrameType.DATA, 0, 0x80000000, new Uint8Array())).toThrow(frames.LocalProtocolError);
  });

  it("is cut where it is a reason", () => {
    expect(frames.unpackReset(only(frames.packReset(1, 1, "x".repeat(1000))).payload).reason).toHaveLength(512);
  });
});
