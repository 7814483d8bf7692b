"""What runs in a browser tab alone, under Pyodide: nothing here is imported where there are threads.

`shim` makes synchronous code work without threads; `bridge` is the way from a preview's requests to the app; `preview`
shows what a kernel of JupyterLite serves, by its own page. The tab's WebSocket is `portico.transports.browser`; the
TypeScript beside Python in a page is in js/.
"""
