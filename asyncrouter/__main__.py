"""`python -m asyncrouter`: the command line."""

import sys

from asyncrouter.cli import main

if __name__ == "__main__":
    sys.exit(main())
