"""``python -m portico`` is the command line."""

import sys

from portico.cli import main

if __name__ == "__main__":
    sys.exit(main())
