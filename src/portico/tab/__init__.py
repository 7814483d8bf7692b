"""What Python needs of the browser tab that it runs in, under Pyodide.

- `shim`: lets synchronous code work where there are no threads.
- `requests`: HTTP requests, made by the browser.
- `bridge`: the way from a page's service worker to an app.
- `preview`: the page of JupyterLite, which shows what its kernel serves.
- `for_provider`: the parts of all this that a provider is given. Neither room imports the other: `portico/__init__.py`
  hands it over.

Not here: the tab's WebSocket (`portico.transports.browser`), and the TypeScript beside Python in a page, in js/.
"""
