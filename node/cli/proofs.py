"""`piaolian verify`: a proof or evidence file against a genesis document, from files alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from node.chain.evidence.file import is_evidence_file, verify_evidence_file
from node.chain.verify import Verdict, verify_proof_file
from node.cli.errors import OK, REFUSED, REFUSED_TRANSACTION, UsageError
from node.ledger.codes import Code
from node.ledger.genesis import Genesis, GenesisError
from node.ledger.genesis_file import GENESIS_BYTES_MAX, parse_genesis

_FILE_BYTES_MAX = 1 << 20


def exit_code(verdict: Mapping[str, object]) -> int:
    """What a script needs to know of a verdict: a proof may well be true of a refusal."""
    if not verdict["valid"]:
        return REFUSED
    return OK if verdict.get("code") in {None, Code.OK.name} else REFUSED_TRANSACTION


def check_file(file: Path, network: Path) -> dict[str, object]:
    """The verdict on a file, as `--json` prints it.

    Raises:
        UsageError: a file cannot be read.
        GenesisError: `network` is no valid genesis.
    """
    genesis = read_genesis(network)
    data = read_file(file)
    return _evidence(data, genesis) if is_evidence_file(data) else _proof(data, genesis)


def read_genesis(network: Path) -> Genesis:
    """The genesis document.

    Raises:
        UsageError: it cannot be read.
        GenesisError: it is no valid one.
    """
    text = read_genesis_text(network)
    try:
        return parse_genesis(text)
    except GenesisError as error:
        # It speaks of `network.toml`; here the file has the name that the caller gave.
        raise GenesisError(f"{network}: {str(error).removeprefix('network.toml: ')}") from error


def read_genesis_text(network: Path) -> str:
    """The genesis document as it stands there.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return _read(network, GENESIS_BYTES_MAX).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{network}: not UTF-8") from error


def read_file(path: Path) -> bytes:
    """A proof, checkpoint or evidence file, judged by nobody.

    Raises:
        UsageError: it cannot be read.
    """
    return _read(path, _FILE_BYTES_MAX)


def _evidence(data: bytes, genesis: Genesis) -> dict[str, object]:
    verdict = verify_evidence_file(data, genesis)
    return {
        "valid": verdict.valid,
        "reason": verdict.reason,
        "kind": verdict.kind,
        "voter": verdict.voter,
        "sentence": verdict.sentence,
        "id": verdict.id,
    }


def _proof(data: bytes, genesis: Genesis) -> dict[str, object]:
    verdict = verify_proof_file(data, genesis)
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
        "disclosed": [msgspec.to_builtins(item) for item in verdict.disclosed],
        "proves": _proves(verdict),
        "does_not_prove": list(_LIMITS) if verdict.valid else [],
    }


_LIMITS = (
    "that nothing happened later: ask a node for the invoice's present state",
    "that the details not shown are complete or true: only what is shown was checked",
    "that an order repeated within the network took this number: its first number counts",
)


def _proves(verdict: Verdict) -> str:
    """What a valid proof shows, as a sentence."""
    if not verdict.valid:
        return ""
    voters = f"{len(verdict.cosigners)} voters of this network"
    if verdict.transaction is None:
        return f"{voters} signed a ledger with this block's seal at height {verdict.height}"
    outcome = "applied" if verdict.code == Code.OK else "refused"
    text = (
        f"{verdict.author} signed this transaction, and {voters} signed a ledger that holds it, "
        f"{outcome}, at height {verdict.height}"
    )
    if verdict.disclosed:
        text += "; the items shown are part of the details that it committed to"
    return text


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    if len(content) > bytes_max:
        raise UsageError(f"{path}: larger than {bytes_max} bytes")
    return content
