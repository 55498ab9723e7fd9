"""An issuer whose node does not check: it seals what it likes and signs what the rules allow."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence

import msgspec

from node.chain.disclosure import commit, items_of
from node.ledger.invoices.operations import (
    ConfirmRedLetter,
    IssueInvoice,
    IssueRedLetter,
    RateGroup,
    RequestRedLetter,
)
from node.ledger.operations import Operation
from node.ledger.signing import public_key, sign
from node.ledger.transaction import (
    TransactionBody,
    encode_body,
    encode_wire,
    signed_bytes,
    transaction_id,
)
from node.sealing.format import RANDOM_BYTES, BlobSealer, Sealed, sealing_key
from tests.cluster.cluster import Cluster, Member

SALT = bytes(range(32))


def canonical(document: object) -> bytes:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode()


def cut_short(commitment: bytes, sealed: Sealed) -> tuple[bytes, Sealed]:
    """A blob of one section with less than a tag of its ciphertext."""
    decoded = msgspec.msgpack.decode(sealed.blob)
    decoded[4][0][1] = decoded[4][0][1][:5]
    blob = msgspec.msgpack.encode(decoded)
    return commitment, Sealed(blob, hashlib.sha256(blob).digest())


class DishonestIssuer:
    """Acts with the issuer's keys, beside its honest node."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.member = cluster["issuer"]
        self.keys = self.member.keys()
        self.nonce = 10**6

    def seal(self, document: object, *readers: str) -> tuple[bytes, Sealed]:
        """Details sealed to the named nodes and the issuer itself: commitment and blob."""
        publics = [self.cluster[name].keys().public.sealing for name in readers]
        sealer = BlobSealer(sealing_key(self.keys.sealing), os.urandom(RANDOM_BYTES))
        commitment, _ = sealer.add(canonical(document), publics, SALT)
        return commitment, sealer.seal()

    def send(
        self, member: Member, seed: bytes, operations: Sequence[Operation], *blobs: bytes
    ) -> str:
        """Sign, submit, and wait until it is final and applied."""
        self.nonce += 1
        body = encode_body(
            TransactionBody(
                network=self.cluster.voters.network_id,
                author=member.participant,
                key=public_key(seed),
                nonce=self.nonce,
                valid_until=member.status()["height"] + 1_000,
                operations=tuple(operations),
            )
        )
        txid = transaction_id(body).hex()
        member.submit([encode_wire(body, sign(seed, signed_bytes(body)), blobs)])
        status = member.get(f"/v1/transactions/{txid}?wait=final&timeout_s=20")
        assert (status["state"], status["code"]) == ("final", "OK"), status
        return txid

    def issue(self, sealed: tuple[bytes, Sealed] | None, commitment: bytes | None = None) -> str:
        """An invoice of net 1,000.00 at 13 %, whatever its details say."""
        number = self.number()
        true, blob = (None, None) if sealed is None else sealed
        hashes, blobs = ((), ()) if blob is None else ((blob.blob_hash,), (blob.blob,))
        operation = self._issuing(number, commitment or true, hashes)
        self.send(self.member, self.keys.signing, [operation], *blobs)
        return number

    def issue_together(self, *sealings: tuple[object, Sequence[str]]) -> list[str]:
        """Such invoices in one transaction: one blob holds each document, for its readers."""
        sealer = BlobSealer(sealing_key(self.keys.sealing), os.urandom(RANDOM_BYTES))
        commitments = [
            sealer.add(
                canonical(document),
                [self.cluster[name].keys().public.sealing for name in readers],
                SALT,
            )[0]
            for document, readers in sealings
        ]
        sealed = sealer.seal()
        operations = [
            self._issuing(self.number(), commitment, (sealed.blob_hash,))
            for commitment in commitments
        ]
        self.send(self.member, self.keys.signing, operations, sealed.blob)
        return [operation.number for operation in operations]

    def _issuing(
        self, number: str, commitment: bytes | None, hashes: tuple[bytes, ...]
    ) -> IssueInvoice:
        return IssueInvoice(
            number=number,
            special=False,
            buyer=self.cluster["payer"].participant,
            currency="CNY",
            issue_date="2026-11-18",
            groups=(RateGroup(1300, 100_000, 13_000, 1),),
            net=100_000,
            tax=13_000,
            gross=113_000,
            order=hashlib.sha256(number.encode()).digest(),
            replaces=None,
            details=commitment,
            blobs=hashes,
        )

    def credit(self, blue: str, document: object) -> str:
        """A red letter over half of an invoice, whose lines say what they like."""
        commitment, sealed = self.seal(document, "tax-bureau", "payer")
        number = self.number()
        signing = self.keys.signing
        self.send(self.member, signing, [RequestRedLetter(blue, 56_500, 2)])
        row = self.member.get(f"/v1/invoices/{blue}")
        form = row["red_forms"][-1]
        if form["state"] == "requested":
            payer = self.cluster["payer"]
            confirm = ConfirmRedLetter(blue, form["form"])
            self.send(payer, payer.keys().signing, [confirm])
        operation = IssueRedLetter(
            invoice=blue,
            form=form["form"],
            number=number,
            groups=(RateGroup(1300, 50_000, 6_500, 1),),
            net=50_000,
            tax=6_500,
            gross=56_500,
            order=hashlib.sha256(number.encode()).digest(),
            details=commitment,
            blobs=(sealed.blob_hash,),
        )
        self.send(self.member, signing, [operation], sealed.blob)
        return number

    def number(self) -> str:
        """The next of the numbers that the issuer's honest node does not draw from."""
        self.cluster.next_number += 1
        return f"{self.cluster.next_number:020d}"


def other_commitment() -> bytes:
    """A commitment to details that nobody sealed."""
    return commit(items_of(b'{"remarks":"another"}'), SALT)
