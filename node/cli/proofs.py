"""`piaolian verify`: a proof file against a genesis document, from files alone."""

from __future__ import annotations

from pathlib import Path

from node.chain.verify import verify_proof_file
from node.cli.errors import UsageError
from node.ledger.codes import Code
from node.ledger.genesis import parse_genesis

_PROOF_BYTES_MAX = 1 << 20
_GENESIS_BYTES_MAX = 1 << 20


def check_proof_file(file: Path, network: Path) -> dict[str, object]:
    """The verdict on a proof file, as `--json` prints it.

    Raises:
        UsageError: a file cannot be read.
        GenesisError: `network` is no valid genesis.
    """
    genesis = parse_genesis(_read(network, _GENESIS_BYTES_MAX).decode("utf-8", "replace"))
    verdict = verify_proof_file(_read(file, _PROOF_BYTES_MAX), genesis)
    code = None
    if verdict.code is not None:
        known = {item.value: item.name for item in Code}
        code = known.get(verdict.code, str(verdict.code))
    return {
        "valid": verdict.valid,
        "reason": verdict.reason,
        "transaction": verdict.transaction,
        "height": verdict.height,
        "code": code,
        "author": verdict.author,
        "index": verdict.index,
        "size": verdict.size,
        "cosigners": list(verdict.cosigners),
    }


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    if len(content) > bytes_max:
        raise UsageError(f"{path}: larger than {bytes_max} bytes")
    return content
