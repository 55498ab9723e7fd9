"""Whether a voter signs, as it is shown to the operator. Owns the value only."""

from __future__ import annotations

from typing import Literal

import msgspec


class SigningView(msgspec.Struct, frozen=True):
    """Whether this voter signs checkpoints, and what it waits for if it does not."""

    state: Literal["signing", "asking", "rejoining", "observing"]
    """`asking`: since a start, whether others hold more of its signatures than it remembers.
    `rejoining`: it may have forgotten some; it signs again above a later certificate.
    `observing`: it is no voter."""
    answers: int = 0
    answers_needed: int = 0
    missing: tuple[str, ...] = ()
    """Voters that have not answered."""
    height_needed: int | None = None
    """It signs again above a certificate of this height or a later one; null while unknown."""

    lacks_room: bool = False
    """The disk has no room to note what is signed, so nothing is; it ends by itself."""

    @property
    def detail(self) -> str:
        """What is waited for, as a sentence; empty when nothing is."""
        if self.lacks_room:
            return "there is no room on the disk to note what is signed"
        if self.state in {"signing", "observing"}:
            return ""
        if self.height_needed is not None:
            return f"rejoining: signs again above a certificate of height {self.height_needed}"
        if self.answers < self.answers_needed:
            waits = f"waits for {', '.join(self.missing)}"
        else:
            waits = "catches up with the certificates they told"
        return f"{self.state}: {self.answers} of {self.answers_needed} answers, {waits}"
