"""Judging a proof file with nothing but the genesis document. Owns the order of the checks.

Assumes that at most f of the genesis' voters lie; then a valid proof means that the leaf stands
at its index in the one history that every honest voter keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec

from node.chain.certificate import CertificateError
from node.chain.disclosure import Disclosure, disclosed_commitment, read_value
from node.chain.item_paths import ItemPathError, check_places
from node.chain.leaf import MalformedLeafError, SealLeaf, TransactionLeaf, decode_leaf
from node.chain.merkle import leaf_hash, verify_inclusion
from node.chain.proof import MalformedProofError, Proof, parse_proof
from node.chain.voters import VoterSet
from node.ledger import signing
from node.ledger.codes import LEAFLESS_MAX, Code
from node.ledger.execution.bykey import decode_operation
from node.ledger.genesis import Genesis
from node.ledger.operations import ByKey
from node.ledger.rulebook import RULEBOOK
from node.ledger.transaction import (
    MalformedTransactionError,
    Transaction,
    decode_transaction,
    encode_wire,
)


class Disclosed(msgspec.Struct, frozen=True):
    """One item of the details that an operation of the transaction commits to."""

    operation: int
    """Position in the transaction."""
    kind: str
    """Whose details these are, as the operation's law says: `invoice`, `red_invoice`; what a
    `red_request` says is its author's word only, and must not pass for a line of the invoice."""
    invoice: str
    """Number of the document; of a red-letter request, of the invoice that it is about."""
    path: str
    value: Any
    """Decoded JSON."""


class Verdict(msgspec.Struct, frozen=True):
    """What a proof file shows. Everything but `valid` and `reason` is empty when invalid."""

    valid: bool
    reason: str
    """Why it is invalid; empty when valid."""
    transaction: str | None = None
    """Transaction id in hex; None for the proof of a seal."""
    height: int | None = None
    code: int | None = None
    """`node.ledger.codes.Code`: a valid proof may show a refusal. None for a seal."""
    author: str | None = None
    """Participant that signed the transaction."""
    index: int | None = None
    size: int | None = None
    """Leaves in the certified tree."""
    cosigners: tuple[str, ...] = ()
    """Node names, in voter order."""
    disclosed: tuple[Disclosed, ...] = ()
    """Items of sealed details that the file shows, each true of the operation it names."""


class ProofInvalidError(ValueError):
    """The proof is well-formed but does not hold; says why."""


def verify_proof_file(data: bytes | str, genesis: Genesis) -> Verdict:
    """Check a proof file against a network's genesis document.

    Args:
        data: The file, as bytes where possible (see `parse_proof`).
        genesis: The parsed and checked `network.toml`.

    Returns:
        The verdict; never raises, whatever the file holds.
    """
    try:
        voters = VoterSet.from_genesis(genesis)
        return verify_proof(parse_proof(data, voters), voters)
    except (MalformedProofError, ProofInvalidError) as error:
        return Verdict(valid=False, reason=str(error))


def verify_proof(proof: Proof, voters: VoterSet) -> Verdict:
    """Check a parsed proof.

    Raises:
        ProofInvalidError: with the reason.
    """
    certificate = proof.certificate
    if certificate.checkpoint.origin != voters.origin:
        raise ProofInvalidError("checkpoint belongs to another network")
    if certificate.origin_signature is None or len(certificate.cosignatures) != voters.q:
        raise ProofInvalidError(
            f"a proof holds one origin signature and exactly {voters.q} cosignatures"
        )
    try:
        certificate.verify(voters)
        leaf = decode_leaf(proof.leaf)
    except (CertificateError, MalformedLeafError) as error:
        raise ProofInvalidError(str(error)) from error
    checkpoint = certificate.checkpoint
    if not verify_inclusion(
        proof.index, checkpoint.size, leaf_hash(proof.leaf), proof.path, checkpoint.root
    ):
        raise ProofInvalidError("leaf is not at this index of the certified tree")
    verdict = Verdict(
        valid=True,
        reason="",
        height=leaf.height,
        index=proof.index,
        size=checkpoint.size,
        cosigners=certificate.cosigner_nodes(voters),
    )
    if isinstance(leaf, SealLeaf):
        _check_seal(leaf, proof.index, voters)
        if proof.disclosures:
            raise ProofInvalidError("a seal commits to no details")
        return verdict
    transaction = _check_transaction(leaf, voters)
    return msgspec.structs.replace(
        verdict,
        transaction=transaction.txid.hex(),
        code=leaf.code,
        author=transaction.body.author,
        disclosed=_check_disclosures(proof.disclosures, leaf.code, transaction),
    )


def _check_seal(leaf: SealLeaf, index: int, voters: VoterSet) -> None:
    if leaf.index != index:
        raise ProofInvalidError("seal names another place than its own")
    if leaf.voters_hash != voters.hash:
        raise ProofInvalidError("seal names other voters")


def _check_transaction(leaf: TransactionLeaf, voters: VoterSet) -> Transaction:
    if 0 < leaf.code <= LEAFLESS_MAX:
        raise ProofInvalidError("an outcome that leaves no leaf")
    try:
        transaction = decode_transaction(encode_wire(leaf.body, leaf.signature))
    except MalformedTransactionError as error:
        raise ProofInvalidError(str(error)) from error
    if transaction.body.network != voters.network_id:
        raise ProofInvalidError("transaction belongs to another network")
    if not signing.verify(transaction.body.key, transaction.signed_bytes, leaf.signature):
        raise ProofInvalidError("signature of the author does not verify")
    return transaction


def _check_disclosures(
    disclosures: Sequence[Disclosure], code: int, transaction: Transaction
) -> tuple[Disclosed, ...]:
    if disclosures and code != Code.OK:
        raise ProofInvalidError("a refused transaction issued nothing whose details it could show")
    for _, group in groupby(disclosures, key=lambda shown: shown.operation):
        shown = tuple(group)
        if len({item.count for item in shown}) != 1:
            raise ProofInvalidError("disclosures of one operation count its items differently")
        try:
            check_places((item.index, item.path) for item in shown)
        except ItemPathError as error:
            raise ProofInvalidError(str(error)) from error
    return tuple(_check_disclosure(shown, transaction) for shown in disclosures)


def _check_disclosure(shown: Disclosure, transaction: Transaction) -> Disclosed:
    operations = transaction.body.operations
    if shown.operation >= len(operations):
        raise ProofInvalidError("a disclosure names an operation that the transaction lacks")
    operation = operations[shown.operation]
    if isinstance(operation, ByKey):
        try:
            operation = decode_operation(operation.operation)
        except MalformedTransactionError as error:
            raise ProofInvalidError(str(error)) from error
    carried = RULEBOOK.carried.get(type(operation))
    if carried is not None:
        operation = carried(operation).operation
    sealed = RULEBOOK.sealed.get(type(operation))
    if sealed is None:
        raise ProofInvalidError("a disclosure names an operation that commits to no details")
    kind, number, committed = sealed(operation)
    commitment = disclosed_commitment(shown)
    if commitment is None or commitment != committed:
        raise ProofInvalidError(f"{shown.path} is not what the operation commits to")
    return Disclosed(
        operation=shown.operation,
        kind=kind,
        invoice=number,
        path=shown.path,
        value=read_value(shown),
    )
