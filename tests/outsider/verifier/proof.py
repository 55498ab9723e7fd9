"""Section 9: the proof file."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from tests.outsider.verifier.disclosure import read_disclosures
from tests.outsider.verifier.encoding import InvalidError, array, from_base64, need, sha256, unpack
from tests.outsider.verifier.ledger import leaf_hash, path_root, read_leaf, read_transaction
from tests.outsider.verifier.network import Network
from tests.outsider.verifier.note import read_note

FILE_BYTES_MAX = 1 << 20


def read_proof(data: bytes) -> tuple[bytes, list[Any], int, list[bytes], str]:
    """Leaf, disclosures, index, path and note."""
    need(len(data) <= FILE_BYTES_MAX, "file is too large")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidError("file is not UTF-8") from error
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    need(bool(separator) and lines.pop(0) == "c2sp.org/tlog-proof@v1", "not a proof file")
    extra = []
    while lines and lines[0].startswith("extra "):
        extra.append(from_base64(lines.pop(0)[6:]))
    need(1 <= len(extra) <= 7, "there are 1 to 7 extra lines")
    need(all(len(piece) == 48_000 for piece in extra[:-1]), "an extra line is cut elsewhere")
    need(1 <= len(extra[-1]) <= 48_000, "the last extra line is empty or too long")
    need(bool(lines), "there is no index")
    match = re.fullmatch("index (0|[1-9][0-9]{0,15})", lines.pop(0))
    if match is None:
        raise InvalidError("there is no index")
    path = [from_base64(line) for line in lines]
    need(len(path) <= 64 and all(len(piece) == 32 for piece in path), "audit path is malformed")
    leaf, disclosures, handovers = array(unpack(b"".join(extra)), "extra", bytes, list, list)
    need(not handovers, "handovers are not known")
    return leaf, disclosures, int(match[1]), path, note


def verify_proof(data: bytes, network: Network) -> dict[str, Any]:
    """The verdict on a proof file; raises `InvalidError`."""
    leaf_bytes, disclosures, index, path, note = read_proof(data)
    checkpoint, signers = read_note(network, note)
    kinds, numbers = zip(*signers, strict=True) if signers else ((), ())
    need(kinds == (1, *(4,) * network.q), f"needed: an origin signature, {network.q} cosignatures")
    cosigners = numbers[1:]
    need(all(a < b for a, b in pairwise(cosigners)), "cosigners are out of order")
    leaf = read_leaf(leaf_bytes)
    root = path_root(index, checkpoint.size, leaf_hash(leaf_bytes), path)
    need(root == checkpoint.root, "leaf is not at this index of the tree")
    verdict: dict[str, Any] = {
        "transaction": None,
        "code": None,
        "author": None,
        "index": index,
        "size": checkpoint.size,
        "cosigners": [network.voters[number].node for number in cosigners],
        "disclosed": [],
    }
    if leaf[0] == 2:
        _, height, _, _, _, first, count, _, voters_hash, *_ = leaf
        need(first + count == index, "seal names another place")
        need(voters_hash == network.voters_hash, "seal names other voters")
        need(not disclosures, "a seal has no details")
        return verdict | {"height": height}
    _, code, height, body, signature = leaf
    need(not 1 <= code <= 19, "an outcome that leaves no leaf")
    transaction = read_transaction(network, body, signature)
    need(not disclosures or code == 0, "a refused transaction has no details to show")
    return verdict | {
        "transaction": sha256(b"piaolian/txid/v1\n", body).hex(),
        "height": height,
        "code": code,
        "author": transaction[1],
        "disclosed": read_disclosures(disclosures, transaction[5]),
    }
