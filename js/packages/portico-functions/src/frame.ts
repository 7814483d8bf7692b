/**
 * A result as a notebook would show it: HTML of anybody's, in a frame of its own.
 *
 * The frame has an origin that is nobody's (`sandbox` without `allow-same-origin`), so what runs there reaches neither this page
 * nor its cookies, and a policy by which it loads and sends nothing. (A browser may look up, and connect to, the host of a link that a script follows;
 * nothing is sent, as the policy stops it then.) Inline scripts in it run, as plots need: they get the nonce of this page's
 * policy, which a frame of `srcdoc` inherits. This is the one module that makes markup of text, and the text goes nowhere else.
 */

import { el } from "./dom.ts";

/** CSS pixels. A frame grows no further, and is scrolled: a page of a million rows is not to be laid out whole. */
const TALLEST = 4000;
const LEAST = 24;
/** How often one frame may change its height: one whose height follows its window's would go on for ever. */
const CHANGES = 200;

/**
 * In force beside the page's own policy. That one lets scripts with the nonce run, those of other servers and what they import as well; this
 * one lets inline scripts run and no others. So what is left is inline scripts that the page gave its nonce.
 */
const POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline' data:; img-src data: blob:; font-src data:; media-src data: blob:; " +
  "form-action 'none'; base-uri 'none'; frame-src 'none'";

/** Colours of its own would be lost on a dark page, or a dark text on it. */
const COLOURED = /<script|\b(?:color|background|fill|stroke|bgcolor)\b\s*[:=-]/i;

const STYLE = `
:root { font: 14px/1.5 system-ui, sans-serif; }
body { margin: 0; padding: 2px; overflow-wrap: anywhere; }
img, svg, video { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
table[border] { border: 0; }
th, td { padding: 4px 10px; border: 0; border-bottom: 1px solid light-dark(#e4e4df, #3a3d42); text-align: right; }
th { font-weight: 600; }
pre { white-space: pre-wrap; }
`;

/** A bare HTML fragment's document. Its styles are in colours of the page's scheme, unless it brings colours of its own. */
function documentOf(html: string, nonce: string): { text: string; coloured: boolean } {
  const coloured = COLOURED.test(html);
  const content = new DOMParser().parseFromString(html, "text/html"); // inert: nothing in it runs or loads
  for (const meta of content.querySelectorAll("meta[http-equiv], base")) meta.remove();
  for (const script of content.querySelectorAll("script:not([src])")) script.setAttribute("nonce", nonce);
  const quoted = nonce.replaceAll(/[^\w+/=-]/g, "");
  const scheme = coloured ? "light" : "light dark";
  const head = `<!doctype html><html><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${POLICY}">
<script nonce="${quoted}">(${close.toString()})()</script>
<meta name="color-scheme" content="${scheme}"><style>:root { color-scheme: ${scheme} }${STYLE}</style>`;
  const script = `<script nonce="${quoted}">(${measure.toString()})()</script>`;
  return { text: `${head}${content.head.innerHTML}</head><body>${content.body.innerHTML}${script}</body></html>`, coloured };
}

/**
 * Runs in the frame before anything else: takes away what no policy covers. WebRTC sends to any host, so it is not there; and no script learns
 * its nonce, with which a frame within the frame could run scripts, and have WebRTC again.
 */
function close(): void {
  for (const name of ["RTCPeerConnection", "webkitRTCPeerConnection"]) Object.defineProperty(self, name, { value: undefined });
  for (const kind of ["HTMLElement", "SVGElement", "MathMLElement"]) {
    const { prototype } = (self as unknown as Record<string, { prototype: object } | undefined>)[kind] ?? {};
    if (prototype !== undefined) Object.defineProperty(prototype, "nonce", { get: () => "", set: () => undefined });
  }
}

/** Runs in the frame: tells the page how high its content is. */
function measure(): void {
  const tell = () => parent.postMessage({ height: Math.ceil(document.body.getBoundingClientRect().height) }, "*");
  new ResizeObserver(tell).observe(document.body);
  addEventListener("load", tell);
  tell();
}

export function frameOf(html: string, title: string, nonce: string): HTMLElement {
  const { text, coloured } = documentOf(html, nonce);
  const frame = el("iframe", { sandbox: "allow-scripts", title, class: coloured ? "shown light" : "shown", loading: "eager", referrerpolicy: "no-referrer" });
  frame.srcdoc = text;
  let changes = 0;
  const listen = ({ source, data }: MessageEvent<unknown>) => {
    if (!frame.isConnected) {
      removeEventListener("message", listen);
      return;
    }
    if (source !== frame.contentWindow || changes >= CHANGES) return;
    const height = typeof data === "object" && data !== null && "height" in data ? data.height : undefined;
    if (typeof height !== "number" || !Number.isFinite(height)) return;
    changes += 1;
    frame.style.height = `${Math.min(Math.max(height, LEAST), TALLEST) + 4}px`;
  };
  addEventListener("message", listen);
  return el("div", { class: coloured ? "frame light" : "frame" }, frame);
}
