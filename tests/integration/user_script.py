"""A user's script: serves an app, then does what it is told, line by line, until its input ends.

``python -m tests.integration.user_script '{"app": "module:name", "serve": {...}}'``; each line is a Python expression
over ``service`` and ``portico``, answered by a line of JSON. `tests.integration.scripts` starts it.
"""

from __future__ import annotations

import importlib
import json
import sys

import portico


def main() -> None:
    options = json.loads(sys.argv[1])
    module, _, name = options["app"].partition(":")
    try:
        service = portico.serve(getattr(importlib.import_module(module), name), **options["serve"])
    except portico.PorticoError as error:
        print(json.dumps({"error": type(error).__name__, "text": str(error)}), flush=True)
        return
    print(json.dumps({"url": service.url}), flush=True)
    for line in sys.stdin:
        print(json.dumps(eval(line, {"service": service, "portico": portico})), flush=True)


if __name__ == "__main__":
    main()
