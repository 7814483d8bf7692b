"""What a browser tab needs besides the core, which runs there unchanged.

`shim` makes synchronous code work where there are no threads. The tab's WebSocket is `portico.transports.browser`; what
runs beside Python in a page, its TypeScript, is in js/.
"""
