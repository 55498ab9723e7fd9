"""Sections 4, 5 and 9 of node/chain/README.md: whether a proof file holds, and what it shows.

Judges with the genesis document alone. What is disclosed of an invoice's details is judged in
`details`, the signatures under the checkpoint in `note`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.outsider.from_page.details import read_disclosures
from tests.outsider.from_page.form import (
    MAX_SIZE,
    RefusedError,
    array,
    binary,
    chunks,
    decimal,
    integer,
    need,
    sha256,
    signed,
    text,
    unbase64,
    unpack,
)
from tests.outsider.from_page.genesis import Network
from tests.outsider.from_page.note import published
from tests.outsider.from_page.tree import leaf_hash, root_of_path


@dataclass(frozen=True)
class Transaction:
    code: int
    height: int
    txid: bytes
    author: str
    operations: list[list[Any]]


@dataclass(frozen=True)
class Seal:
    height: int
    index: int
    voters_hash: bytes


def verify_proof(network: Network, data: bytes) -> dict[str, Any]:
    """What a proof file shows; its `code` is 0 unless the voters refused the transaction."""
    leaf, disclosures, index, path, note = _read(data)
    checkpoint, cosigners = published(network, note)
    root = root_of_path(leaf_hash(leaf), index, checkpoint.size, path)
    need(root == checkpoint.root, "not a leaf of this tree")
    shown: dict[str, Any] = {
        "transaction": None,
        "code": None,
        "author": None,
        "index": index,
        "size": checkpoint.size,
        "cosigners": [network.voters[number].node for number in cosigners],
    }
    read = read_leaf(network, leaf)
    if isinstance(read, Seal):
        need(read.index == index, "a seal of another place")
        need(read.voters_hash == network.voters_hash, "a seal of other voters")
        return shown | {"height": read.height, "disclosed": read_disclosures(disclosures, [])}
    return shown | {
        "transaction": read.txid.hex(),
        "code": read.code,
        "author": read.author,
        "height": read.height,
        "disclosed": read_disclosures(disclosures, [] if read.code else read.operations),
    }


def _read(data: bytes) -> tuple[bytes, object, int, list[bytes], str]:
    need(len(data) <= 2**20, "a proof file is too long")
    try:
        content = data.decode()
    except UnicodeDecodeError as error:
        raise RefusedError("a proof file is not UTF-8") from error
    head, _, note = content.partition("\n\n")
    magic, *lines = head.split("\n")
    need(magic == "c2sp.org/tlog-proof@v1", "not a proof file")
    extra = [line[6:] for line in lines if line.startswith("extra ")]
    need(1 <= len(extra) <= 7 and len(lines) > len(extra), "too few or many lines")
    need(all(line.startswith("extra ") for line in lines[: len(extra)]), "an extra line below")
    index_line, *path_lines = lines[len(extra) :]
    need(index_line.startswith("index ") and len(path_lines) <= 64, "other lines")
    path = [binary(unbase64(line), "a hash", 32) for line in path_lines]
    leaf, disclosures, changes = array(unpack(chunks(extra)), "the extra data", 3)
    array(changes, "changes of voters", 0)
    return binary(leaf, "the leaf"), disclosures, decimal(index_line[6:], MAX_SIZE), path, note


def read_leaf(network: Network, leaf: bytes) -> Transaction | Seal:
    need(len(leaf) <= 65_535, "a leaf is too long")
    version, *rest = array(unpack(leaf), "a leaf") or [None]
    if integer(version, 1, 2, "the kind of leaf") == 2:
        return read_seal(leaf)
    code, height, body, signature = array(rest, "a transaction", 4)
    code = integer(code, 0, 65_535, "a code")
    need(code == 0 or code >= 20, "an outcome that leaves no leaf")
    height = integer(height, 1, MAX_SIZE, "a height")
    txid, author, operations = read_transaction(network, body, signature)
    return Transaction(code, height, txid, author, operations)


def read_transaction(
    network: Network, body: object, signature: object
) -> tuple[bytes, str, list[list[Any]]]:
    """Txid, author and operations of a signed transaction of this network."""
    body, signature = binary(body, "a body"), binary(signature, "a signature", 64)
    need(len(body) + 64 <= 60_000, "a transaction is too long")
    network_id, author, key, nonce, until, operations = array(unpack(body), "a body", 6)
    need(binary(network_id, "a network id", 32) == network.id, "a transaction of another network")
    integer(nonce, 0, 2**63 - 1, "a nonce")
    integer(until, 1, MAX_SIZE, "a height")
    key = binary(key, "a key", 32)
    made = [array(each, "an operation") for each in array(operations, "the operations")]
    need(1 <= len(made) <= 1000, "a transaction has too few or many operations")
    need(all(each and type(each[0]) is int for each in made), "an operation has no tag")
    message = b"piaolian/transaction/v1\n" + body
    need(signed(key, message, signature), "an author's signature does not verify")
    txid = sha256(b"piaolian/txid/v1\n" + body)
    return txid, text(author, "an author", "[0-9A-Z]{18}"), made


def read_seal(seal: bytes) -> Seal:
    values = array(unpack(seal), "a seal", 12)
    two, height, time, term, proposer, first, count, digest, voters, version, entry, entry_hash = (
        values
    )
    integer(two, 2, 2, "the kind of leaf")
    integer(term, 0, 2**63 - 1, "a term")
    integer(proposer, 0, 2**32 - 1, "a proposer")
    binary(digest, "a state digest", 32)
    integer(version, 1, 65_535, "a rules version")
    integer(entry, 1, 2**62, "an entry's index")
    binary(entry_hash, "an entry's hash", 32)
    integer(time, 0, MAX_SIZE, "a time")
    return Seal(
        integer(height, 1, MAX_SIZE, "a height"),
        integer(first, 0, MAX_SIZE, "an index") + integer(count, 0, MAX_SIZE, "a count"),
        binary(voters, "a voters hash", 32),
    )
