"""`piaolian audit`: everything that a node has stored, checked from its files. Owns the printing.

The rate is told beside what the same processes do in bare signatures, measured before the audit.
"""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec

from node.audit.machine_limits import verifications_per_second
from node.audit.run import Audit, NoLedgerError, Outcome
from node.audit.run import Progress as Shown
from node.cli.errors import NoAnswerError, UsageError, reason_of
from node.cli.output import console
from node.cli.proofs import read_genesis
from node.ledger.genesis import Genesis
from node.storage.index_part import IndexPart
from node.system.config import NodeConfig
from node.system.loop import GC_THRESHOLDS


def run_audit(
    config: NodeConfig,
    parts: Callable[[Genesis], Sequence[IndexPart]],
    position_files: Sequence[str],
    *,
    from_height: int,
    processes: int,
) -> dict[str, object]:
    """Audit the data folder of a node; the result as `--json` prints it.

    Args:
        config: The node's.
        parts: Of the query index of a network.
        position_files: Of listeners of final blocks.
        from_height: Below it signatures are taken for verified.
        processes: How many work: one does the blocks again, the others verify signatures.

    Raises:
        UsageError: there is nothing to audit.
        NoAnswerError: the machine does not let it be done.
        GenesisError: `network.toml` is no valid genesis.
    """
    genesis = read_genesis(config.node.network)
    with _bar() as progress:
        try:
            return audit_folder(
                genesis,
                config.node.name,
                config.node.data_dir,
                parts(genesis),
                position_files=position_files,
                from_height=from_height,
                processes=processes,
                progress=progress,
            )
        except NoLedgerError as error:
            raise UsageError(str(error)) from error
        except OSError as error:  # of this machine; what the folder's files say is in the outcome
            where = f"{error.filename}: " if error.filename else ""
            raise NoAnswerError(f"{where}{reason_of(error)}") from error


def audit_folder(
    genesis: Genesis,
    node: str,
    path: Path,
    parts: Sequence[IndexPart],
    *,
    processes: int,
    position_files: Sequence[str] = (),
    from_height: int = 0,
    progress: Shown = lambda _part, _done, _total: None,
) -> dict[str, object]:
    """Measure the limit, audit a data folder, and compare.

    Raises:
        NoLedgerError: there is nothing to audit.
    """
    limit = signature_limit(processes)
    gc.freeze()  # as in a node: what is loaded by now stays
    gc.set_threshold(*GC_THRESHOLDS)
    started = time.perf_counter()
    audit = Audit(
        genesis,
        node,
        parts,
        position_files=position_files,
        from_height=from_height,
        workers=processes - 1,
        progress=progress,
    )
    outcome = audit.run(path)
    return result_of(outcome, time.perf_counter() - started, limit, processes)


def result_of(outcome: Outcome, seconds: float, limit: float, processes: int) -> dict[str, object]:
    """The result of an audit that took so long.

    `rate` is the greater of signatures and operations a second: a transaction of many operations
    has one signature, and an empty block has only those of its certificate.
    """
    first = outcome.first
    signatures, operations = outcome.signatures / seconds, outcome.operations / seconds
    rate = max(signatures, operations)
    counted: dict[str, object] = {}
    for name, value in msgspec.to_builtins(outcome).items():
        counted |= value if name == "checked_rows" else {name: value}
    del counted["faults"]
    return {
        "valid": first is None,
        **counted,
        "first_error": None if first is None else msgspec.to_builtins(first),
        "seconds": round(seconds, 3),
        "processes": processes,
        "signatures_per_second_limit": round(limit),
        "signatures_per_second": round(signatures),
        "operations_per_second": round(operations),
        "rate": round(rate),
        "ratio": round(rate / limit, 3),
    }


def verdict_of(result: dict[str, object]) -> str:
    """One line for people."""
    error = result["first_error"]
    if not isinstance(error, dict):
        return (
            f"valid: {result['heights']} heights, {result['transactions']} transactions,"
            f" final up to height {result['final_height']}"
        )
    place = [str(error["file"])]
    if error["table"]:
        place.append(f"table {error['table']}")
    if error["row"]:
        place.append(f"row {error['row']}")
    if error["column"]:
        place.append(f"column {error['column']}")
    if error["leaf"] is not None:
        place.append(f"leaf {error['leaf']}")
    if error["offset"] is not None:
        place.append(f"byte {error['offset']}")
    if error["bit"] is not None:
        place.append(f"bit {error['bit']}")
    return f"NOT VALID: {error['reason']}\nfirst wrong byte: {', '.join(place)}"


def signature_limit(processes: int) -> float:
    """Bare verifications a second of so many processes at once."""
    if processes == 1:
        return verifications_per_second()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        list(pool.map(_nothing, range(processes)))  # started, before anything is measured
        runs = [pool.submit(verifications_per_second) for _ in range(processes)]
        return sum(run.result() for run in runs)


def _nothing(number: int) -> int:
    return number


@contextmanager
def _bar() -> Iterator[Shown]:
    """A progress bar on standard error, if that is a terminal."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    shown = console(to_stderr=True)
    columns = (TextColumn("{task.description:<18}"), BarColumn(), TaskProgressColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=shown, disable=not shown.is_terminal, transient=True
    ) as bar:
        task = bar.add_task("audit", total=None)

        def show(part: str, done: int, total: int) -> None:
            bar.update(task, description=part, completed=done, total=total or None)

        yield show
