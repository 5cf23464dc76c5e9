"""`python -m sig` is the command `sig`."""

import sys

from sig.cli import main

if __name__ == "__main__":
    sys.exit(main())
