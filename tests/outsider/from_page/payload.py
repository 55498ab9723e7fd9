"""Section 11 of node/chain/README.md, evidence of kind 7: what is wrong with an entry's payload.

Knows neither the entry's header nor who signed it.
"""

from __future__ import annotations

from tests.outsider.from_page.form import (
    MAX_SIZE,
    RefusedError,
    array,
    binary,
    integer,
    need,
    unpack,
)
from tests.outsider.from_page.genesis import Network
from tests.outsider.from_page.proof import read_transaction


def breaks_a_rule(network: Network, term: int, payload: bytes, at: int) -> bool:
    try:
        wires = _wires(term, payload)
    except RefusedError:
        return at == 0
    need(at < len(wires), "a payload has fewer wires")
    try:
        body, signature, blobs = array(unpack(wires[at]), "a wire", 3)
        sizes = [len(binary(blob, "a blob")) for blob in array(blobs, "blobs")]
        need(len(sizes) <= 1000 and sum(sizes) <= 2**20, "too many or long blobs")
        read_transaction(network, body, signature)
    except RefusedError:
        return True
    return False


def _wires(term: int, payload: bytes) -> list[bytes]:
    own, time, wires = array(unpack(payload), "a payload", 3)
    need(integer(own, 0, 2**63 - 1, "a term") == term, "a payload of another term")
    integer(time, 0, MAX_SIZE, "a time")
    need(len(array(wires, "wires")) <= 16_384, "too many wires")
    return [binary(wire, "a wire") for wire in array(wires, "wires")]
