"""The network between the nodes. Owns which links carry and what happens to a message on its way.

It may lose, repeat, delay and reorder, never alter: channels are authenticated. Links are directed,
so a node may hear without being heard. It knows node numbers and bytes, not Raft.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consensus.types import NodeId
from tests.sim.plan import Plan
from tests.sim.world import World

Link = tuple[NodeId, NodeId]
CUTS = 9
"""Shapes of a broken network."""
_LATE_MS = 4_000
_CALM_DELAY_MS = 5
_KEPT_MAX = 40


class Network:
    """All links."""

    def __init__(
        self, world: World, plan: Plan, deliver: Callable[[NodeId, NodeId, bytes], None]
    ) -> None:
        self.cut: frozenset[Link] = frozenset()
        self.calm: frozenset[NodeId] = frozenset()
        """Between these nothing goes wrong any more."""
        self._world = world
        self._plan = plan
        self._deliver = deliver
        self._rng = world.stream("network")
        self._busy_until: dict[Link, float] = {}
        self.keep: Link | None = None
        """Answers on this link are kept until `release`, also while it is cut."""
        self._kept: list[tuple[NodeId, NodeId, bytes]] = []

    def send(self, sender: NodeId, to: NodeId, data: bytes, *, answer: bool = False) -> None:
        """Carry `data`, or lose it. An `answer` may come when another leader leads."""
        world, plan, random = self._world, self._plan, self._rng.random
        world.digest(sender, to, data)
        if answer and (sender, to) == self.keep:
            self._keep(sender, to, data)
            return
        if self.cut and (sender, to) in self.cut:
            world.counts["message cut"] += 1
            return
        if sender in self.calm and to in self.calm:
            self._arrive(sender, to, data, 1 + random() * min(plan.delay_ms, _CALM_DELAY_MS))
            return
        if answer and plan.answer_of_before and random() < plan.answer_of_before:
            self._keep(sender, to, data)
            return
        if plan.loss and random() < plan.loss:
            world.counts["message lost"] += 1
            return
        if plan.duplicate and random() < plan.duplicate:
            world.counts["message repeated"] += 1
            world.later(self._delay(), self._deliver, sender, to, data)
        self._arrive(sender, to, data, self._delay())

    def release(self, within_ms: float) -> None:
        """The answers of before arrive: another leader leads, say."""
        kept, self._kept = self._kept, []
        for mail in kept:
            self._world.later(self._rng.random() * within_ms, self._deliver, *mail)

    def _keep(self, sender: NodeId, to: NodeId, data: bytes) -> None:
        self._world.counts["answer of before"] += 1
        self._kept.append((sender, to, data))
        del self._kept[:-_KEPT_MAX]

    def _arrive(self, sender: NodeId, to: NodeId, data: bytes, delay_ms: float) -> None:
        if self._plan.in_order:
            link = (sender, to)
            arrival = max(self._world.now_ms + delay_ms, self._busy_until.get(link, 0.0))
            self._busy_until[link] = arrival
            delay_ms = arrival - self._world.now_ms
        self._world.later(delay_ms, self._deliver, sender, to, data)

    def _delay(self) -> float:
        random = self._rng.random
        if self._plan.late and random() < self._plan.late:
            self._world.counts["message late"] += 1
            return random() * random() * _LATE_MS
        return 1 + random() * self._plan.delay_ms


def draw_cut(
    choice: int, nodes: Sequence[NodeId], focus: NodeId, random: Callable[[], float]
) -> tuple[str, frozenset[Link]]:
    """One of the shapes of a broken network; `focus` is the node that matters most, a leader.

    `choice` picks the shape, modulo their number.
    """
    links = [(a, b) for a in nodes for b in nodes if a != b]
    others = [node for node in nodes if node != focus]
    match choice % CUTS:
        case 0:
            return "cut: healed", frozenset()
        case 1:
            side = {node for node in nodes if random() < 0.5}
            return "cut: two sides", frozenset(
                (a, b) for a, b in links if (a in side) != (b in side)
            )
        case 2:
            return "cut: alone", frozenset(link for link in links if focus in link)
        case 3:
            return "cut: can send only", frozenset(link for link in links if link[1] == focus)
        case 4:
            return "cut: can receive only", frozenset(link for link in links if link[0] == focus)
        case 5:
            # A core is a full mesh; everybody else has one link, to one of the core.
            core = set(sorted(nodes, key=lambda _: random())[: len(nodes) // 2 + 1])
            hubs = sorted(core)
            kept = {(node, hubs[int(random() * len(hubs))]) for node in nodes if node not in core}
            return "cut: partial mesh", frozenset(
                (a, b) for a, b in links if not ({a, b} <= core or (a, b) in kept or (b, a) in kept)
            )
        case 6:
            # Two halves see each other only through the focus.
            side = {node for number, node in enumerate(others) if number % 2}
            return "cut: bridge", frozenset(
                (a, b) for a, b in links if focus not in {a, b} and (a in side) != (b in side)
            )
        case 7:
            other = others[int(random() * len(others))]
            return "cut: one link", frozenset({(focus, other), (other, focus)})
        case _:
            share = random() * 0.6
            return "cut: any links", frozenset(link for link in links if random() < share)
