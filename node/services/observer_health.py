"""How an observer is as one: whether it hears of the network, and how far it has followed.

Implements `node.services.health.RoleHealth`.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.following.outcomes import WriteRefusal
from node.following.parts import Following
from node.peers.router import Router
from node.services.status import Check, RaftView
from node.voting.signing_view import SigningView

BEHIND_MAX = 64
"""A node further behind than this many blocks is not ready."""


class ObserverHealth:
    """Snapshots of one observer."""

    def __init__(self, following: Following, router: Router, liars_max: int) -> None:
        self._following = following
        self._liars_max = liars_max
        self._router = router

    def raft_view(self) -> RaftView:
        """It takes no part: there is no term, and no index of a log."""
        return RaftView(
            state="observer", term=0, leader=None, commit_index=0, applied_index=0, base_index=0
        )

    def signing_view(self) -> SigningView:
        """It signs no checkpoint."""
        return SigningView("observing")

    def checks(self) -> Sequence[Check]:
        """Readiness conditions."""
        behind = self._behind()
        return (
            Check("linked", self._is_linked(), self._why_not_linked()),
            Check("applied", behind <= BEHIND_MAX, f"{behind} blocks behind"),
        )

    def write_refusal(self) -> WriteRefusal | None:
        """Why writes are refused now."""
        if not self._is_linked():
            return WriteRefusal("NO_QUORUM", self._why_not_linked())
        return None

    def _is_linked(self) -> bool:
        return any(self._router.linked(number) for number in self._router.peers)

    def _why_not_linked(self) -> str:
        reasons = {link.last_error for link in self._router.links() if link.last_error}
        told = f": {'; '.join(sorted(reasons))}" if reasons else ""
        return f"no voter is linked{told}"

    def _behind(self) -> int:
        """Behind what f + 1 voters claim, so that one who lies makes nobody unready."""
        heights = sorted(self._following.peers.final_heights().values(), reverse=True)
        claimed = heights[self._liars_max] if len(heights) > self._liars_max else 0
        return claimed - self._following.tracker.height
