"""One honest voter of the model: real `Cosigner`, `Finality` and `Inquiry`, one step at a time.

A tree is the path to it: `AAB` is height 3. Each step makes the real objects from what the voter
remembers, lets them decide, and keeps what they then remember, so a voter is a value. Signatures
are the only fake (`unsigned`): whether one exists is the world's to know (`tests.rejoin.world`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, NamedTuple
from unittest.mock import patch

import msgspec

from node.chain.certificate import Certificate, Cosignature
from node.chain.certified import CertifiedHead
from node.chain.checkpoint import COSIGNATURE_BYTES, Checkpoint
from node.chain.evidence.pending_statements import PendingStatements
from node.chain.merkle import Frontier
from node.chain.voters import VoterSet
from node.following.finality import Finality
from node.storage.marker import SigningMemory
from node.voting.cosigner import Cosigner
from node.voting.resumption import Answer, Inquiry, Rules, is_base
from tests.chain.network import TIME_S, make_genesis

NOW, BEFORE = b"now", b"before"
"""Nonces: of this start, and of an earlier one."""
_BLOB = bytes(COSIGNATURE_BYTES)


@cache
def voters_of(count: int) -> VoterSet:
    return VoterSet.from_genesis(make_genesis(count))


@cache
def frontier(path: str) -> Frontier:
    return Frontier().append_hashes(
        [hashlib.sha256(path[: n + 1].encode()).digest() for n in range(len(path))]
    )


@contextmanager
def unsigned() -> Iterator[None]:
    """Signatures are believed: nothing is signed or verified but by the world's word."""
    with (
        patch("node.voting.cosigner.cosign", lambda *_: _BLOB),
        patch("node.voting.cosigner.secret_key", lambda _: bytes(64)),
        patch.object(Certificate, "verify", lambda *_: None),
    ):
        yield


class Told(NamedTuple):
    """An answer as it is on its way."""

    by: int
    certified: str
    """Path of the certificate; empty: none."""
    signed: int


@dataclass(frozen=True, eq=False)
class Voter:
    """All that one honest voter is. There is one object of each value (`voter_of`)."""

    chain: str
    """Its ledger."""
    memory: SigningMemory
    held: CertifiedHead | None
    """The newest certificate that its `Finality` holds."""
    held_path: str
    answers: tuple[Told, ...]
    """To the question of this start."""
    signed: frozenset[str]
    """All that it ever signed, whether it remembers or not."""

    @property
    def signed_height(self) -> int:
        return 0 if self.memory.signed is None else self.memory.signed.height


_voters: dict[tuple[object, ...], Voter] = {}


def voter_of(
    chain: str,
    memory: SigningMemory,
    held: CertifiedHead | None,
    held_path: str,
    answers: tuple[Told, ...],
    signed: frozenset[str],
) -> Voter:
    """The voter with these values.

    What its marker holds of certificates is left out: it is never newer than what it holds itself.
    """
    memory = msgspec.structs.replace(memory, certified=None)
    values = (chain, memory, held, held_path, answers, signed)
    return _voters.setdefault(values, Voter(*values))


def changed(voter: Voter, **values: Any) -> Voter:
    """A voter with other values."""
    return voter_of(**{field.name: getattr(voter, field.name) for field in fields(voter)} | values)


NEW = voter_of("", SigningMemory(), None, "", (), frozenset())


class Port:
    """The marker's port: memory that lasts as long as the test wants."""

    def __init__(self, memory: SigningMemory) -> None:
        self.memory = memory

    def record_memory(self, memory: SigningMemory) -> None:
        before, after = self.memory.signed, memory.signed
        assert before is None or (after is not None and after.height >= before.height)
        self.memory = memory


class Witness:
    """Evidence is no matter of the model."""

    def __init__(self, voters: VoterSet) -> None:
        self.pending = PendingStatements(voters)

    def observe_cosignature(self, *_: object) -> None:
        return None

    def contradicts(self, *_: object) -> bool:
        return False


class Steps:
    """What a voter does, under the rules in force. Remembers each step: there are few."""

    def __init__(self, voters: VoterSet, rules: Rules) -> None:
        self.voters = voters
        self.rules = rules
        self.sign = cache(self._sign)
        self.learn = cache(self._learn)
        self.forget = cache(self._forget)
        self.set_aside = cache(self._set_aside)
        self.tells = cache(self._tells)
        self.resume = cache(self._resume)
        self.hear = cache(self._hear)

    def _cosigner(self, memory: SigningMemory) -> tuple[Cosigner, Port]:
        port = Port(memory)
        me = self.voters.voters[0]
        return Cosigner(me, b"", port, lambda: TIME_S, self.rules), port  # type: ignore[arg-type]

    def _sign(self, voter: Voter, block: str) -> Voter | None:
        """Its ledger grows by a block, which it signs; None if it may not."""
        path = voter.chain + block
        tree = frontier(path)
        cosigner, port = self._cosigner(voter.memory)
        statement = cosigner.sign(len(path), tree.size, tree.root(), tree, voter.held)
        if statement is None:
            return None
        return changed(voter, chain=path, memory=port.memory, signed=voter.signed | {path})

    def _learn(self, voter: Voter, path: str, own: bool) -> Voter | None:
        """A certificate comes, and with it its blocks; None if it says nothing new.

        Args:
            voter: Who learns it.
            path: What is certified.
            own: The voter's own signature is under it, and needed.
        """
        longer, shorter = max(path, voter.chain, key=len), min(path, voter.chain, key=len)
        if len(path) <= len(voter.held_path) or not longer.startswith(shorter):
            return None
        finality = Finality(self.voters, 0, Witness(self.voters))
        finality.resume(len(voter.held_path), voter.held)
        for height in range(len(voter.held_path) + 1, len(longer) + 1):
            finality.block_applied(height, self._checkpoint(longer[:height]), None)
        certificate = self._certificate(path, own=own)
        if not finality.receive_certificate(len(path), certificate):
            return None
        return changed(voter, chain=longer, held=finality.certified, held_path=path)

    def _forget(self, voter: Voter, liars: tuple[Told, ...]) -> Voter:
        """It loses everything. The liars have answered before it asks."""
        cosigner, port = self._cosigner(SigningMemory())
        cosigner.forget()
        return voter_of("", port.memory, None, "", liars, voter.signed)

    def _set_aside(self, voter: Voter, liars: tuple[Told, ...]) -> Voter:
        """Its ledger is none that is certified: it drops that, and remembers what it signed."""
        cosigner, port = self._cosigner(voter.memory)
        cosigner.forget(above=cosigner.signed_height)
        return voter_of("", port.memory, None, "", liars, voter.signed)

    def _tells(self, voter: Voter, number: int) -> Told | None:
        """Its answer to a question, as `Rejoining.answer` makes it."""
        certified = len(voter.held_path)
        rejoining, signed = voter.memory.rejoining, voter.signed_height
        if not self.rules.may_answer(rejoining=rejoining, signed=signed, certified=certified):
            return None
        return Told(number, voter.held_path, signed)

    def _hear(self, voter: Voter, told: Told, nonce: bytes) -> Voter | None:
        """It takes an answer; None if it does not count."""
        inquiry = self._inquiry(voter)
        if not inquiry.hear(told.by, nonce, self._answer(told)):
            return None
        return changed(voter, answers=tuple(sorted((*voter.answers, told))))

    def _resume(self, voter: Voter) -> Voter | None:
        """It signs again; None if it may not."""
        inquiry = self._inquiry(voter)
        for told in voter.answers:
            if told.certified and voter.chain.startswith(told.certified):
                inquiry.place(told.by, len(told.certified))
        height_min = inquiry.base_height()
        if voter.held is None or not is_base(
            voter.held, height_min, voter.memory.above, own=0, own_size=0
        ):
            return None
        cosigner, port = self._cosigner(voter.memory)
        cosigner.resume_above(voter.held, frontier(voter.held_path))
        return changed(voter, memory=port.memory, answers=())

    def _inquiry(self, voter: Voter) -> Inquiry:
        # Nobody else bears the asker's number: it is outside of those that answer.
        inquiry = Inquiry(self.rules, self.voters, -1, NOW)
        for told in voter.answers:
            assert inquiry.hear(told.by, NOW, self._answer(told))
        return inquiry

    def _answer(self, told: Told) -> Answer:
        certificate = self._certificate(told.certified, own=False) if told.certified else None
        return Answer(certificate, told.signed)

    def _certificate(self, path: str, *, own: bool) -> Certificate:
        """With no signature but the voter's own: others' are the world's to know."""
        lines = (Cosignature(self.voters.voters[0].cosigner, _BLOB),) if own else ()
        return Certificate(self._checkpoint(path), lines)

    def _checkpoint(self, path: str) -> Checkpoint:
        return Checkpoint(self.voters.origin, len(path), frontier(path).root())


def renumbered(voter: Voter, numbers: Mapping[int, int]) -> Voter:
    """The same voter among others that have other numbers."""
    answers = tuple(
        sorted(told._replace(by=numbers.get(told.by, told.by)) for told in voter.answers)
    )
    return changed(voter, answers=answers)


def key_of(voter: Voter) -> bytes:
    """A total order of voters that no number enters."""
    told = sorted((answer.signed, answer.certified) for answer in voter.answers)
    return msgspec.msgpack.encode(
        (voter.chain, voter.memory, voter.held_path, sorted(voter.signed), told)
    )
