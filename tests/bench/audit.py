"""How fast `piaolian audit` is beside bare signatures: `python -m tests.bench.audit`.

Makes certified ledgers without a cluster, one invoice a transaction and many, audits each with one
process and with two, and prints one JSON object. The limit is measured right before each audit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from node.cli.auditing import audit_folder
from tests.audit.ledgers import write_ledger
from tests.index_parts import INDEX_PARTS

NEEDED = 0.4
"""Of one process, the default, beside the bare signatures of one core."""


def main() -> int:
    """Parse, run, print; 1 when an audit fails or is slower than it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.audit", description=__doc__)
    parser.add_argument("--invoices", type=int, default=20_000)
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 8, 50])
    parser.add_argument("--details", type=int, default=300, help="bytes of each sealed blob")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    args = parser.parse_args()
    good = True
    results = {}
    for batch in args.batch:
        with tempfile.TemporaryDirectory(prefix="piaolian-audit-") as name:
            folder = Path(name) / "data"
            genesis = asyncio.run(
                write_ledger(folder, args.invoices, batch=batch, details=args.details)
            )
            for processes in args.processes:
                result = audit_folder(genesis, "bureau", folder, INDEX_PARTS, processes=processes)
                ratio = result["ratio"]
                assert isinstance(ratio, float)
                good = good and bool(result["valid"]) and (processes > 1 or ratio >= NEEDED)
                results[f"batch {batch}, processes {processes}"] = {
                    key: result[key]
                    for key in (
                        *("valid", "transactions", "operations", "seconds", "rate", "ratio"),
                        *("signatures_per_second_limit", "signatures_per_second"),
                        "operations_per_second",
                    )
                }
    print(json.dumps(results, indent=2))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
