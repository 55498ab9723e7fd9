"""Whether a voter knows, at its start, what it signed. Owns that decision, before anything uses it.

What follows from it is `node.voting.rejoining`.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from node.storage.marker import MARKER_FILE, Condition, Marker
from node.voting.cosigner import Cosigner
from node.voting.rejoin_word import FILE, SAY_AGAIN, RejoinFileError, Vouch, read_word

_log = structlog.get_logger("node.voting.recall")


def recall(folder: Path, marker: Marker, cosigner: Cosigner) -> Vouch:
    """Decide at start whether this voter knows what it signed, before anything uses the answer.

    Returns:
        What an operator vouches for: this voter signed nothing above that height.

    Raises:
        RejoinFileError: the file `rejoin` is malformed, or below what is known to be signed.
    """
    asked, vouched, void = read_word(folder)
    if cosigner.remembers_another:
        _log.error(
            "the marker is not this voter's",
            file=str(folder / MARKER_FILE),
            remedy="it rejoins; put its own folder back if another node's stands in its place",
        )
        cosigner.disown()
    if void:
        _log.error("an operator's word of another time is not taken", reason=void, remedy=SAY_AGAIN)
    if vouched is not None and vouched < cosigner.signed_height:
        raise RejoinFileError(
            f"{folder / FILE}: this voter signed height {cosigner.signed_height}, above {vouched}"
        )
    if marker.condition in (Condition.MISSING, Condition.DAMAGED):
        cosigner.forget()
    elif cosigner.rejoining:
        pass  # since an earlier start
    elif asked:
        cosigner.forget()
    elif marker.condition is Condition.TORN:
        # The other slot is whole and at most one write older, and a write carries one height.
        cosigner.forget(above=cosigner.signed_height + 1)
    if cosigner.rejoining:
        _log.warning("signing suspended", signed=cosigner.signed_height, vouched=vouched)
    return Vouch(folder, vouched)
