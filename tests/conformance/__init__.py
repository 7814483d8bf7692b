"""One differential suite, many carriers.

The same raw ASGI app (`app.py`) runs under uvicorn, the oracle, and through every other carrier (`carriers.py`).
Each case (`http_cases.py`, `websocket_cases.py`) is a visitor that writes bytes to a socket (`wire.py`, `visitor.py`);
what the visitor sees and what the app saw are made comparable and compared (`compare.py`). A difference that is
left is a defect, or a line of the table in `differences.py`, with its reason.
"""
