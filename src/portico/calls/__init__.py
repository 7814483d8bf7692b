"""How user code is run: what an exception of it means, whose it is, and which thread it gets.

`endings` says what an exception that left user code means; `owner` says whose code runs; `loops` keeps an event loop
going whatever the code on it raises; `workers` are threads for synchronous code; `threads` carries whose code
runs into those that it makes. Not here: what is called and with what, which is the business of `asgi` and `models`.
"""
