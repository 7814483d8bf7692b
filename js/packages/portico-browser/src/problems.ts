/** The service worker's own words: a page for a browser that navigates, JSON for programs. Nothing is loaded by it. */

const TITLES: Record<number, string> = {
  500: "The app has a problem",
  502: "The app is not running",
};

/** An answer that is not the app's. *message* is one or two plain sentences; *code* is for programs. */
export function problem(request: Request, status: number, code: string, message: string): Response {
  const headers = { "cache-control": "no-store", "x-portico-error": code };
  if (request.mode !== "navigate") {
    const body = { error: { message, code, status } }; // as a hub has it
    return new Response(JSON.stringify(body), { status, headers: { ...headers, "content-type": "application/json" } });
  }
  const type = { "content-type": "text/html; charset=utf-8" };
  return new Response(page(status, TITLES[status] ?? "Something went wrong", message), {
    status,
    headers: { ...headers, ...type },
  });
}

const ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export function escape(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => ESCAPES[sign] as string);
}

function page(status: number, title: string, message: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><title>${escape(title)}</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center;
  background: light-dark(#f6f6f4, #17181a); color: light-dark(#1d1d1f, #ececec) }
main { box-sizing: border-box; width: min(30rem, 100vw - 2rem); margin: 1rem; padding: 1.8rem 2rem; border-radius: 12px;
  overflow-wrap: anywhere; background: light-dark(#fff, #222427); border: 1px solid light-dark(#e2e2de, #34373b) }
h1 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 .6rem } p { margin: .4rem 0 }
a { color: light-dark(#0b5cad, #7ab8f5) } .dim { color: light-dark(#666, #a0a4a8); font-size: .9rem }
:focus-visible { outline: 2px solid light-dark(#0b5cad, #7ab8f5); outline-offset: 2px }
</style></head>
<body><main><div role="alert"><h1>${escape(title)}</h1><p>${escape(message)}</p></div>
<p class=dim><a href="">Try again</a></p>
<p class=dim>${status} &middot; Portico</p></main></body>
</html>
`;
}
