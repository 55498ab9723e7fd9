"""Finality: from applied blocks and cosignatures to certificates. Owns the counting; no I/O.

Rules (ARCHITECTURE, Finality): q cosignatures over one checkpoint make it final, and with it all
earlier heights. A cosignature of a height that is not applied here yet is verified and held. One
with another root at a height of ours is dissent. Another root that is certified shows that this
node's ledger is wrong, and it must stop applying; fewer than q dissenters show nothing, since one
liar can lead honest voters astray.
Nothing here signs: what this voter signed is handed in after it was persisted. Comparing
statements, whether they count or not, is `node.following.comparing`.
"""

from __future__ import annotations

from collections.abc import Callable

from node.chain.certificate import Certificate, certify
from node.chain.certified import CertifiedHead
from node.chain.checkpoint import Checkpoint
from node.chain.cosigned import Cosigned
from node.chain.evidence.kinds import RootStatement
from node.chain.voters import VoterSet
from node.following.comparing import Comparison, StatementObserver

AHEAD_MAX = 4_096
"""Cosignatures further ahead of the applied height are not held; their sender repeats them."""
RESEND_MAX = 64
"""Own cosignatures repeated to a peer at a time, oldest first."""


class DivergedError(RuntimeError):
    """Another root is certified than ours. Stop applying, keep reads."""

    def __init__(self, reason: str, certificate: Certificate, ours: bytes) -> None:
        super().__init__(reason)
        self.ours = ours
        """The root that this ledger has in that place."""
        self.certificate = certificate
        """Verified; it contradicts this ledger."""


class Finality:
    """Counts cosignatures for the heights that are not final yet."""

    def __init__(
        self,
        voters: VoterSet,
        final_height: int,
        observer: StatementObserver,
        on_dissent: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._voters = voters
        self.comparison = Comparison(voters, observer, on_dissent)
        """Of all statements, whether they count or not."""
        self.final_height = final_height
        self.applied_height = final_height
        self._applied: dict[int, Checkpoint] = {}
        self._verified: dict[int, dict[int, bytes]] = {}
        self._held: dict[int, dict[int, Cosigned]] = {}
        self._own: dict[int, Cosigned] = {}
        self._dissent: dict[int, dict[Checkpoint, dict[int, bytes]]] = {}
        """By height: other roots, with the verified cosignatures of each."""
        self._certified: Certificate | None = None
        """The verified certificate of the largest tree that is not applied here yet."""
        self.certified: CertifiedHead | None = None
        """The newest certificate that fits this ledger: it makes `final_height` final. Replaced
        whole, so another thread may read it."""

    def resume(self, final_height: int, certified: CertifiedHead | None = None) -> None:
        """Start counting above a height that is known to be final.

        Args:
            final_height: That height.
            certified: The newest certificate kept anywhere. It may be of a later height, which a
                power cut took from the ledger; then it is held until that is applied again.
        """
        self.final_height = self.applied_height = final_height
        if certified is None:
            return
        certificate = certified.certificate(self._voters)
        for number, cosignature in certified.cosignatures:
            said = Cosigned(certified.height, certified.size, certified.root, cosignature)
            self.comparison.note(said, number)
        if certified.height <= final_height:
            self.certified = certified
        else:
            self._certified = certificate

    @property
    def unfinal(self) -> int:
        """Applied heights that are not final."""
        return self.applied_height - self.final_height

    def block_applied(
        self, height: int, checkpoint: Checkpoint, own: tuple[int, Cosigned] | None
    ) -> Certificate | None:
        """A block was applied; `own` is this voter's number and persisted statement, if any.

        Returns:
            The certificate, when this makes the height final.

        Raises:
            DivergedError: another root is certified.
        """
        self.applied_height = height
        self.comparison.grown(height, checkpoint)
        certificate = self._certified
        if certificate is not None and certificate.checkpoint.size <= checkpoint.size:
            self._certified = None
            if self._certifies(certificate, height, checkpoint):
                self._finalise(height, certificate)
                return certificate
        if height <= self.final_height:
            return None
        self._applied[height] = checkpoint
        if own is not None:
            number, statement = own
            self._own[height] = statement
            self._verified.setdefault(height, {})[number] = statement.cosignature
        for number, statement in sorted(self._held.pop(height, {}).items()):
            self._count(number, statement, verified=True)
        return self._complete(height)

    def receive(self, number: int, statement: Cosigned) -> Certificate | None:
        """A voter's statement arrived.

        Returns:
            The certificate, when this makes its height final.

        Raises:
            ValueError: its signature does not verify, or it is out of form.
            DivergedError: another root is certified.
        """
        height = statement.height
        if not self.final_height < height <= self.applied_height + AHEAD_MAX:
            # Too far ahead: its sender repeats it, if it is true.
            if not self.comparison.compare_late(number, statement):
                raise ValueError("cosignature does not verify")
            return None
        if height > self.applied_height:
            held = self._held.get(height, {})
            if held.get(number) == statement:
                return None
            # Verified here, where it is known who sent it: later there is nobody to refuse.
            if not self.comparison.is_signed(number, statement):
                raise ValueError("cosignature does not verify")
            first = self._held.setdefault(height, held).setdefault(number, statement)
            if (first.size, first.root) != (statement.size, statement.root):
                for said in (first, statement):
                    self.comparison.compare(number, self.comparison.stated(said), said.cosignature)
            return None
        ours = self._applied.get(height)
        if number in self._verified.get(height, {}) and self.comparison.stated(statement) == ours:
            return None
        if not self._count(number, statement):
            raise ValueError("cosignature does not verify")
        return self._complete(height)

    def receive_certificate(self, height: int, certificate: Certificate) -> bool:
        """A certificate arrived for `height`; True if it made progress.

        Nobody signs a height: what a peer says of it is believed only as far as the tree's size
        bears it out, else an old certificate under a new height would stop this node.

        Raises:
            CertificateError: it does not verify.
            DivergedError: it certifies another root than ours.
        """
        checkpoint = certificate.checkpoint
        known = self.comparison.height_of(checkpoint)
        if known is not None and (known <= self.final_height or known != height):
            # It says nothing new, whatever height stands beside it: nothing is verified.
            return False
        held = self._certified
        if held is not None and held.checkpoint == checkpoint:
            return False
        certificate.verify(self._voters)
        self.comparison.compare_certificate(certificate)
        if height <= self.final_height:
            return False
        ours = self._applied.get(height)
        if ours is None:
            larger = held is None or held.checkpoint.size < checkpoint.size
            if height > self.applied_height and larger:
                self._certified = certificate
            return False
        if not self._certifies(certificate, height, ours):
            self.comparison.on_dissent(
                height
            )  # a false height, or this ledger is false: its tree will tell
            return False
        self._finalise(height, certificate)
        return True

    def signed(self, number: int, statement: Cosigned) -> Certificate | None:
        """This voter signed, later than it was applied, a height that had to wait.

        Returns:
            The certificate, when this makes the height final.
        """
        height = statement.height
        if height <= self.final_height or self._applied.get(height) != self.comparison.stated(
            statement
        ):
            return None
        self._own[height] = statement
        self._verified.setdefault(height, {})[number] = statement.cosignature
        return self._complete(height)

    def hear(self, number: int, said: RootStatement) -> bool:
        """A peer tells what a voter signed; False if it did not sign that."""
        return self.comparison.hear(number, said)

    def newest_of(self, number: int) -> Cosigned | None:
        """What this voter signed over the largest tree, as far as it came here (`Comparison`)."""
        return self.comparison.newest_of(number)

    def compare_certificate(self, certificate: Certificate) -> None:
        """A verified certificate is of another history than ours, as it seems."""
        self.comparison.compare_certificate(certificate)

    def repeat(self, after: int) -> list[Cosigned]:
        """Own statements above height `after` that are not final here, oldest first."""
        heights = sorted(height for height in self._own if height > after)
        return [self._own[height] for height in heights[:RESEND_MAX]]

    def _certifies(self, certificate: Certificate, height: int, ours: Checkpoint) -> bool:
        """Whether a verified certificate is of this checkpoint."""
        if certificate.checkpoint.size != ours.size:
            return False
        if certificate.checkpoint != ours:
            self.comparison.on_dissent(height)
            reason = f"height {height} is certified with another root"
            raise DivergedError(reason, certificate, ours.root)
        return True

    def _count(self, number: int, statement: Cosigned, *, verified: bool = False) -> bool:
        voter = self._voters.get(number)
        if voter is None:
            return False
        ours = self._applied[statement.height]
        stated = self.comparison.stated(statement)
        if stated == ours and len(self._verified.get(statement.height, ())) >= self._voters.q:
            return self.comparison.compare_late(number, statement)  # nothing more to prove
        if verified:
            self.comparison.compare(number, stated, statement.cosignature)
        elif not self.comparison.observe(number, statement):
            return False
        if stated == ours:
            self._verified.setdefault(statement.height, {})[number] = statement.cosignature
            return True
        self.comparison.on_dissent(statement.height)
        others = self._dissent.setdefault(statement.height, {})
        if any(number in signed for root, signed in others.items() if root != stated):
            return True  # it has signed a third root: that is evidence, and counts for nothing
        dissent = others.setdefault(stated, {})
        dissent[number] = statement.cosignature
        if len(dissent) >= self._voters.q:
            names = ", ".join(self._voters.voters[n].node for n in sorted(dissent))
            raise DivergedError(
                f"{names} signed another root at height {statement.height}",
                certify(stated, dissent, self._voters),
                ours.root,
            )
        return True

    def _complete(self, height: int) -> Certificate | None:
        cosignatures = self._verified.get(height, {})
        if len(cosignatures) < self._voters.q:
            return None
        certificate = certify(self._applied[height], cosignatures, self._voters)
        self._finalise(height, certificate)
        return certificate

    def _finalise(self, height: int, certificate: Certificate) -> None:
        self.final_height = height
        self.certified = CertifiedHead.of(height, certificate, self._voters)
        for old in [h for h in self._held if h <= height]:  # the certificate came before them
            for number, statement in self._held.pop(old).items():
                self.comparison.compare_late(number, statement)
        for kept in (self._applied, self._verified, self._own, self._dissent):
            for old in [h for h in kept if h <= height]:
                del kept[old]
