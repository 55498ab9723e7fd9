"""`python -m node`: the `piaolian` command."""

import sys

from node.command import main

if __name__ == "__main__":
    sys.exit(main())
