/**
 * The cookies of an app that a service worker previews: kept in memory, for no browser keeps those for it.
 *
 * A service worker's answers may not set cookies, and its requests do not show them. So the side where the app runs keeps
 * the app's own, by RFC 6265bis: path, expiry, Secure, SameSite and the prefixes of names. They last as long as the app
 * runs. No script of a page sees any of them, as if all were HttpOnly.
 */

export interface Asked {
  /** The whole path of the request's URL. */
  path: string;
  secure: boolean;
  sameSite: boolean;
  navigation: boolean;
  method: string;
}

interface Cookie {
  name: string;
  value: string;
  path: string;
  /** Milliseconds since 1970; Infinity for as long as the app runs. */
  expires: number;
  secure: boolean;
  sameSite: "strict" | "lax" | "none";
  made: number;
}

/** What browsers keep of a site, and take of a name and its value (RFC 6265bis §5.7, §6.1). */
const MOST = 180;
const LONGEST = 4096;

// A control character, but for the tab (RFC 6265bis §5.6).
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;

export class CookieJar {
  private readonly cookies = new Map<string, Cookie>();
  private made = 0;

  /** *now* gives milliseconds since 1970. */
  constructor(private readonly now: () => number = Date.now) {}

  /** The value of the Cookie header for a request, or "". */
  header(asked: Asked): string {
    return [...this.cookies.values()]
      .filter((cookie) => this.fits(cookie, asked))
      .sort((a, b) => b.path.length - a.path.length || a.made - b.made)
      .map(({ name, value }) => (name ? `${name}=${value}` : value))
      .join("; ");
  }

  /** Keep what a Set-Cookie header says in the answer to *asked*, if it may be kept. */
  take(field: string, asked: Asked): void {
    const [pair = "", ...attributes] = field.split(";");
    const cookie = this.read(pair, attributes, asked);
    if (cookie === undefined) return;
    const key = `${cookie.name};${cookie.path}`;
    if (cookie.expires <= this.now()) {
      this.cookies.delete(key);
      return;
    }
    cookie.made = this.cookies.get(key)?.made ?? cookie.made;
    this.cookies.set(key, cookie);
    if (this.cookies.size > MOST) {
      const oldest = [...this.cookies].reduce((a, b) => (a[1].made <= b[1].made ? a : b));
      this.cookies.delete(oldest[0]);
    }
  }

  private read(pair: string, attributes: string[], asked: Asked): Cookie | undefined {
    const [name, value] = pair.includes("=") ? split(pair) : ["", pair.trim()];
    if (CONTROL.test(pair) || name.length + value.length > LONGEST || (!name && !value)) return undefined;
    const cookie: Cookie = {
      name,
      value,
      path: folder(asked.path),
      expires: Infinity,
      secure: false,
      sameSite: "lax",
      made: (this.made += 1),
    };
    let aged = false;
    let rooted = false;
    let domain = false;
    for (const attribute of attributes) {
      const [key, said] = split(attribute);
      switch (key.toLowerCase()) {
        case "max-age":
          if (/^-?\d+$/.test(said)) {
            cookie.expires = Number(said) > 0 ? this.now() + Number(said) * 1000 : 0;
            aged = true;
          }
          break;
        case "expires": {
          const at = Date.parse(said);
          if (!aged && !Number.isNaN(at)) cookie.expires = at;
          break;
        }
        case "path":
          cookie.path = said.startsWith("/") ? said : folder(asked.path);
          rooted = said === "/";
          break;
        case "domain":
          domain = said !== "";
          break;
        case "secure":
          cookie.secure = true;
          break;
        case "samesite":
          if (/^(strict|lax|none)$/i.test(said)) cookie.sameSite = said.toLowerCase() as Cookie["sameSite"];
          break;
      }
    }
    const lower = name.toLowerCase();
    if (lower.startsWith("__secure-") && !cookie.secure) return undefined;
    if (lower.startsWith("__host-") && !(cookie.secure && rooted && !domain)) return undefined;
    if (cookie.secure && !asked.secure) return undefined;
    if (cookie.sameSite === "none" && !cookie.secure) return undefined;
    if (cookie.sameSite !== "none" && !asked.sameSite && !asked.navigation) return undefined;
    return cookie;
  }

  private fits(cookie: Cookie, asked: Asked): boolean {
    if (cookie.expires <= this.now() || (cookie.secure && !asked.secure)) return false;
    if (!asked.sameSite && cookie.sameSite !== "none") {
      const safe = asked.navigation && /^(GET|HEAD|OPTIONS)$/.test(asked.method);
      if (cookie.sameSite === "strict" || !safe) return false;
    }
    const { path } = cookie;
    return asked.path.startsWith(path) && (path.endsWith("/") || ["/", undefined].includes(asked.path[path.length]));
  }
}

function split(pair: string): [string, string] {
  const at = pair.indexOf("=");
  return at < 0 ? [pair.trim(), ""] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
}

/** The path that a cookie without one gets (RFC 6265bis §5.1.4). */
function folder(path: string): string {
  const last = path.lastIndexOf("/");
  return last > 0 ? path.slice(0, last) : "/";
}
