"""What Python needs of the browser tab that it runs in, under Pyodide. Nothing here is imported elsewhere.

`shim` makes synchronous code work without threads; `requests` are made by the browser; `bridge` is the way from a
page's service worker to an app; `preview` is the page that shows what its kernel of JupyterLite serves. `handed` is
what a provider gets of it: neither room knows the other. The tab's WebSocket is `portico.transports.browser`; the
TypeScript beside Python in a page is in js/.
"""
