"""`python -m tests.outsider.from_page FILE network.toml`: the verdict as JSON, and an exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.outsider.from_page.evidence import verify_evidence
from tests.outsider.from_page.form import RefusedError
from tests.outsider.from_page.genesis import read_network
from tests.outsider.from_page.proof import verify_proof


def main(file: str, genesis: str) -> int:
    network, data = read_network(Path(genesis).read_bytes()), Path(file).read_bytes()
    try:
        evidence = data.startswith(b"piaolian/evidence")
        verdict = (verify_evidence if evidence else verify_proof)(network, data)
    except RefusedError as error:
        print(json.dumps({"valid": False, "reason": str(error)}))
        return 1
    print(json.dumps({"valid": True, **verdict}, ensure_ascii=False))
    return 3 if verdict.get("code") else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
