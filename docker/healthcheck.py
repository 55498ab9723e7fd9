"""Whether the node in this container is alive: asks its own `/livez`. Standard library only.

    healthcheck.py node.toml

Not whether it is ready: a network without a quorum must restart nobody. Prints the answer's body,
which names the failing checks, for `docker inspect`.
"""

import http.client
import os
import sys
import tomllib
from pathlib import Path


def main() -> int:
    """Exit code 0 when alive."""
    listen = os.environ.get("PIAOLIAN_API__LISTEN")
    if listen is None:
        listen = tomllib.loads(Path(sys.argv[1]).read_text())["api"]["listen"]
    connection = http.client.HTTPConnection("127.0.0.1", int(listen.rpartition(":")[2]), timeout=4)
    try:
        connection.request("GET", "/livez")
        response = connection.getresponse()
        sys.stdout.write(response.read(4_000).decode(errors="replace"))
    except OSError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0 if response.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
