"""`python -m tests.bench.imports`: a large workbook, read and planned, beside other readers.

Each measurement is a process of its own, so that its peak of memory is its own. Owns the workbook
that is measured, and what is printed. What a profile of it showed stands in DECISIONS.md (61).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from node.domains.invoices.exporting.writers import XlsxWriter

SECONDS_MAX = 10.0
MEBIBYTES_MAX = 300.0
COLUMNS = (
    *("order_id", "buyer_name", "code", "description", "unit"),
    *("quantity", "unit_price", "rate", "remarks"),
)
LINES_OF_AN_ORDER = 3
_READ = (
    "from node.domains.invoices.importing.tables import read_xlsx as r\nn = sum(1 for _ in r(p))"
)
_PLAN = """
from node.domains.invoices.importing.collector import seldom_collecting
from node.domains.invoices.importing.documents import read_documents
from node.domains.invoices.importing.table_plan import plan_table
from node.domains.invoices.importing.tables import read_xlsx
with seldom_collecting():
    plan = plan_table(read_documents(read_xlsx(p)))
assert not plan.refused, plan.refused[:3]
n = len(plan.invoices)
"""
_OPENPYXL = """
import openpyxl
n = sum(1 for _ in openpyxl.load_workbook(p, read_only=True).worksheets[0].iter_rows())
"""
_CALAMINE = """
from python_calamine import CalamineWorkbook
n = len(CalamineWorkbook.from_path(p).get_sheet_by_index(0).to_python())
"""
_MEASURED = """
import json, resource, time
from pathlib import Path
p = Path({path!r})
begun = time.perf_counter()
{code}
usage = resource.getrusage(resource.RUSAGE_SELF)
took = time.perf_counter() - begun
print(json.dumps([n, took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""


def main() -> None:
    """Measure and print; the exit code tells whether the limits hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.imports", description=__doc__)
    parser.add_argument("--rows", type=int, default=150_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-import-") as name:
        path = Path(name) / "rows.xlsx"
        write_rows(path, args.rows)
        size, load = path.stat().st_size / 2**20, os.getloadavg()[0]
        print(f"{args.rows} rows, {size:.1f} MiB, {os.cpu_count()} cores, load {load:.1f}")
        print(f"{'':28}{'count':>10}{'seconds':>10}{'processor':>11}{'peak MiB':>10}")
        within = [measure("read", _READ, path), measure("read and planned (dry run)", _PLAN, path)]
        if importlib.util.find_spec("python_calamine") is not None:
            measure("calamine, cells only", _CALAMINE, path)
        measure("openpyxl, cells only", _OPENPYXL, path)
        print(f"limits: {SECONDS_MAX:.0f} s of the processor, {MEBIBYTES_MAX:.0f} MiB")
        for label, content in bombs(Path(name)):
            refuse(label, content)
    sys.exit(0 if all(within) else 1)


def write_rows(path: Path, rows: int) -> None:
    """A table of sales, as another program writes it."""
    writer = XlsxWriter(path, "Sales")
    writer.row(list(COLUMNS))
    for number in range(rows):
        order, line = divmod(number, LINES_OF_AN_ORDER)
        price = f"{number % 9_973 // 100}.{number % 9_973 % 100:02}"
        writer.row(
            [
                *(f"SO-{order}", f"Buyer {order % 500}" if line == 0 else None),
                *(f"P-{number % 900}", f"Article number {number % 900}", "KGM"),
                *(number % 17 + 1, price if number % 9_973 else "1.00", "13%", None),
            ]
        )
    writer.close()


def measure(label: str, code: str, path: Path) -> bool:
    """Run a reader in a process of its own; whether it stays within the limits."""
    program = _MEASURED.format(path=str(path), code=code)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    count, seconds, processor, peak = json.loads(done.stdout)
    print(f"{label:28}{count:>10}{seconds:>10.1f}{processor:>11.1f}{peak:>10.0f}", flush=True)
    return bool(processor <= SECONDS_MAX and peak <= MEBIBYTES_MAX)


def bombs(folder: Path) -> list[tuple[str, Path]]:
    """Workbooks that unpack to a hundred times their size: styles, and a sheet of blanks."""
    found = []
    for label, part in (("styles", "xl/styles.xml"), ("blanks", "xl/worksheets/sheet1.xml")):
        path = folder / f"{label}.xlsx"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/workbook.xml", "<workbook/>")
            with archive.open(part, "w") as stream:
                for _ in range(100):
                    stream.write(b"<xf/>" * 200_000)
        found.append((f"bomb of {label}", path))
    return found


def refuse(label: str, path: Path) -> None:
    """Time the refusal of a bomb."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "node", "invoice", "import", str(path)]
    done = subprocess.run(
        [*command, "--format", "xlsx", "--dry-run"], capture_output=True, check=False
    )
    assert done.returncode == 1, done
    print(f"{label:28}{'refused':>10}{time.perf_counter() - begun:>10.1f}")


if __name__ == "__main__":
    main()
