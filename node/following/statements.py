"""What voters sign, as messages bring it: each is handed to the part that judges it.

Owns which part that is, and what a false one means for its sender: no honest node sends it. What
shows that this node's own ledger is false halts it instead.
"""

from __future__ import annotations

from node.chain.evidence.kinds import RootStatement
from node.following.certificates import Certificates
from node.following.dissent import Dissent
from node.following.finality import DivergedError
from node.following.halt import Halt
from node.peers.messages import (
    STATEMENTS_MAX,
    CertificateMessage,
    DishonestError,
    DissentMessage,
    Kind,
    StatementMessage,
)
from node.peers.ports import Routing


class Statements:
    """Cosignatures, certificates, and what others were shown."""

    def __init__(self, certificates: Certificates, dissent: Dissent, halt: Halt) -> None:
        self._certificates = certificates
        self._dissent = dissent
        self._halt = halt

    def attach(self, routes: Routing) -> None:
        """Take these messages from now on."""
        routes.on(Kind.COSIGNED, StatementMessage, self._on_statement, price=1.0)
        # Seven voters and the origin.
        routes.on(Kind.CERTIFICATE, CertificateMessage, self._on_certificate, price=8.0)
        routes.on(Kind.DISSENT, DissentMessage, self._on_dissent, price=2.0 * STATEMENTS_MAX)

    def _on_statement(self, number: int, message: StatementMessage) -> None:
        # A cosignature does not cover the height: a stranger could put it beside another one.
        if message.voter != number:
            raise DishonestError("a statement of another voter")
        try:
            self._certificates.receive_statement(number, message.statement())
        except DivergedError as error:
            self._halt.stop(error)
        except ValueError as error:
            raise DishonestError(str(error)) from error

    def _on_certificate(self, _: int, message: CertificateMessage) -> None:
        try:
            self._certificates.receive_note(message.height, message.note)
        except DivergedError as error:
            self._halt.stop(error)

    def _on_dissent(self, _: int, message: DissentMessage) -> None:
        try:
            self._dissent.hear(message)
        except ValueError as error:
            raise DishonestError(str(error)) from error
        for voter, size, root, cosignature in message.roots:
            if not self._certificates.finality.hear(voter, RootStatement(size, root, cosignature)):
                raise DishonestError("a cosignature that its voter did not make")
