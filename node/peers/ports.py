"""What parts of a node need of the links to others. Owns the interfaces; `node.peers.router` is it.

Peers are voters' numbers. A part registers what it takes before anything is started; nothing here
says which parts there are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

M = TypeVar("M", bound=msgspec.Struct)
BytesHandler = Callable[[int, bytes], Awaitable[None] | None]
"""Takes the sender and a body that is no typed message."""


class Sending(Protocol):
    """To others. Nothing here waits: what cannot be queued is dropped."""

    @property
    def peers(self) -> Sequence[int]:
        """All others, in their order."""
        ...

    def send(self, number: int, message: msgspec.Struct) -> bool:
        """Send a message of a registered shape; False when that cannot be."""
        ...

    def broadcast(self, message: msgspec.Struct) -> None:
        """The same to all."""
        ...

    def linked(self, number: int) -> bool:
        """Whether messages of this kind can be sent to a peer now."""
        ...

    def rtt_ms(self, number: int) -> float | None:
        """The newest round trip to a peer; None before the first."""
        ...


class Routing(Protocol):
    """From others: who takes what. One handler a kind."""

    def on(
        self, kind: int, shape: type[M], handler: Callable[[int, M], object], *, price: float
    ) -> None:
        """Hand messages of `kind` to `handler`, with their sender.

        The handler raises `DishonestError`, or an error of `node.chain` about what is signed, when
        no honest node sends this.

        Args:
            kind: Stands on the wire.
            shape: What its bodies are decoded to.
            handler: The part that knows what it means.
            price: Signature checks that one message can cause at most, true or not.
        """
        ...

    def when_up(self, listener: Callable[[int], object]) -> None:
        """Tell of each new link to a peer, after those that were registered before."""
        ...

    def when_down(self, listener: Callable[[int], object]) -> None:
        """Tell of each link that is gone."""
        ...


class Links(Sending, Routing, Protocol):
    """Both ways."""


class Neighbours(Protocol):
    """The others, with how far each of them says that it is (`node.following.peer_states`)."""

    @property
    def peers(self) -> Sequence[int]:
        """All others."""
        ...

    def final_heights(self) -> Mapping[int, int]:
        """The final height of each peer that is connected, as it says."""
        ...

    def send(self, number: int, message: msgspec.Struct) -> bool:
        """Send a message to one of them; False when that cannot be."""
        ...


class RawRouting(Protocol):
    """For bodies that have a format of their own."""

    def on_bytes(self, kind: int, handler: BytesHandler) -> None:
        """Hand bodies of `kind` over as they are; the next of this link waits for the handler."""
        ...

    def send_bytes(self, number: int, kind: int, body: bytes) -> bool:
        """Send such a body; False when that cannot be."""
        ...
