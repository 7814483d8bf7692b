/** What a previewed app's cookies do, as RFC 6265bis has it. */

import { describe, expect, it } from "vitest";

import { type Asked, CookieJar } from "../src/cookies.ts";

const ROOT = "/site/portico-preview/app";
const asked = (path: string, more: Partial<Asked> = {}): Asked => ({
  path: ROOT + path,
  secure: true,
  sameSite: true,
  navigation: false,
  method: "GET",
  ...more,
});

function jarOf(path: string, ...fields: string[]): CookieJar {
  const jar = new CookieJar();
  for (const field of fields) jar.take(field, asked(path));
  return jar;
}

describe("a cookie", () => {
  it("comes back, with those set beside it", () => {
    const jar = jarOf("/login", "sid=42; Path=/; HttpOnly", "b = 1 ;Path=/", "odd; Path=/");
    expect(jar.header(asked("/"))).toBe("sid=42; b=1; odd");
  });

  it("is replaced by one of its name and path, and taken back by an expiry in the past", () => {
    const jar = jarOf("/", "a=1; Path=/", "a=2; Path=/");
    expect(jar.header(asked("/"))).toBe("a=2");
    jar.take("a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", asked("/"));
    expect(jar.header(asked("/"))).toBe("");
  });

  it("ends at its Max-Age, which goes before Expires", () => {
    let now = 1000;
    const jar = new CookieJar(() => now);
    jar.take("a=1; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT", asked("/"));
    expect(jar.header(asked("/"))).toBe("a=1");
    now += 10_000;
    expect(jar.header(asked("/"))).toBe("");
    jar.take("b=1; Max-Age=0", asked("/"));
    jar.take("c=1; Max-Age=soon", asked("/"));
    expect(jar.header(asked("/"))).toBe("c=1");
  });

  it("keeps to its path, the longest first, and to its folder without one", () => {
    const jar = jarOf("/a/b", "here=1", `deep=1; Path=${ROOT}/a/b/c`, `exact=1; Path=${ROOT}/ab`);
    expect(jar.header(asked("/a/b/c/d"))).toBe("deep=1; here=1");
    expect(jar.header(asked("/a"))).toBe("here=1");
    expect(jar.header(asked("/abc"))).toBe("");
    expect(jar.header(asked("/ab"))).toBe("exact=1");
  });

  it("is not sent to where it may not go", () => {
    const jar = jarOf("/", "strict=1; SameSite=Strict", "lax=1", "none=1; SameSite=None; Secure", "tls=1; Secure");
    expect(jar.header(asked("/"))).toBe("strict=1; lax=1; none=1; tls=1");
    expect(jar.header(asked("/", { secure: false }))).toBe("strict=1; lax=1");
    expect(jar.header(asked("/", { sameSite: false, navigation: true }))).toBe("lax=1; none=1; tls=1");
    expect(jar.header(asked("/", { sameSite: false, navigation: true, method: "POST" }))).toBe("none=1");
    expect(jar.header(asked("/", { sameSite: false }))).toBe("none=1");
  });

  it("is refused where browsers refuse it", () => {
    const jar = jarOf(
      "/",
      "",
      "=",
      "a=\u0001",
      `long=${"x".repeat(5000)}`,
      "bare=1; SameSite=None",
      "__Secure-a=1",
      "__Host-a=1; Secure; Path=/x",
      "__Host-b=1; Secure; Path=/; Domain=example.com",
    );
    expect(jar.header(asked("/"))).toBe("");
    jar.take("__Host-c=1; Secure; Path=/", asked("/"));
    expect(jar.header(asked("/"))).toBe("__Host-c=1");
    jar.take("tls=1; Secure", asked("/", { secure: false }));
    expect(jar.header(asked("/"))).toBe("__Host-c=1");
  });

  it("is the oldest of too many that goes", () => {
    const jar = jarOf("/", ...Array.from({ length: 200 }, (_, number) => `c${number}=1`));
    const kept = jar.header(asked("/")).split("; ");
    expect(kept).toHaveLength(180);
    expect(kept).not.toContain("c0=1");
    expect(kept).toContain("c199=1");
  });
});
