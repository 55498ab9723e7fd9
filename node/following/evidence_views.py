"""Kept evidence as it is shown to the operator. Owns the values only."""

from __future__ import annotations

import msgspec


class EvidenceSummary(msgspec.Struct, frozen=True):
    """Evidence that this node keeps against voters."""

    count: int
    newest: tuple[str, ...] = ()
    """Sentences, newest first; a few."""


class EvidenceItem(msgspec.Struct, frozen=True):
    """Stored evidence against one key (see node.chain.evidence.kinds)."""

    id: bytes
    """32 bytes."""
    kind: str
    voter: str
    """Node name of the voter it names."""
    sentence: str
    found_ms: int
    body: bytes
    """The evidence itself, self-contained and verifiable."""
