"""What one run is made of and what may go wrong in it, drawn from its seed. Owns the mix.

Each kind of fault is absent from many runs (swarm testing): a fault that is always there hides
what happens without it. A plan is written as one line, the seed and what differs from its draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from random import Random  # noqa: TID251 - seeded
from typing import Any, ClassVar


@dataclass(frozen=True)
class Plan:
    """One run. Probabilities are between 0 and 1; an interval of 0 means never."""

    seed: int = 0
    voters: int = 3
    learners: int = 0
    """At the beginning, besides the voters."""
    spares: int = 0
    """Nodes that run and may be made members."""
    clients: int = 3
    readers: int = 0
    """Clients that only read, often, and from whoever believes that it leads."""
    keys: int = 2
    think_ms: int = 60
    duration_ms: int = 4_000
    """Of the bad part; then comes the part in which the cluster must recover."""

    # The network. Loss, duplicates and delays are each message's; cuts are the links'.
    loss: float = 0.0
    duplicate: float = 0.0
    delay_ms: int = 4
    late: float = 0.0
    """Share of messages that take up to four seconds."""
    answer_of_before: float = 0.0
    """Share of answers that arrive when another leader leads."""
    in_order: bool = False
    partition_every_ms: int = 0

    # The processes.
    crash_every_ms: int = 0
    crash_on_write: float = 0.0
    """The power goes while a write is on its way to the disk: at every step of it, by turns."""
    crash_on_election: float = 0.0
    """A new leader dies within a round trip: logs diverge."""
    crash_on_commit: float = 0.0
    """A leader dies at the moment at which it commits."""
    cut_on_candidacy: float = 0.0
    """A candidate loses all links before it has asked for votes: it is in a term of its own."""
    pause_every_ms: int = 0
    """A process is stopped and goes on later, as SIGSTOP and SIGCONT do."""
    doze_every_ms: int = 0
    """A voter sleeps for less than an election timeout, hears its leader once, and then no more,
    while another one, who lacks the link to that leader, campaigns."""
    late_answer_every_ms: int = 0
    """An answer of a term in which nobody else is comes to a voter that has a leader again
    (`tests.sim.late_answer`; with three voters)."""
    turn_ms: int = 0
    """Input that arrives within this time is handled in one go."""
    clock_back: float = 0.0
    """Share of starts at which the system's clock is behind that of the earlier life."""
    drift: float = 0.0
    """Clocks run faster or slower by up to this share."""

    # The disks.
    disk_ms: int = 2
    hang: float = 0.0
    """Share of writes that take seconds."""
    damage: float = 0.0
    """Share of crashes in which the disk loses or garbles something that was synced."""
    garble: float = 0.0
    """Share of the parts of an arriving snapshot that are stored wrong."""
    wipe: float = 0.0
    """Share of crashes in which the disk is replaced by an empty one."""

    answer_late: float = 0.0
    """Share of answers of stores and state machine that come up to 300 ms after the deed."""
    store_fault: float = 0.0
    """Share of calls of the stores that raise, or let a cancellation out."""

    # The state machine.
    apply_ms: int = 0
    """A call takes up to so long."""
    apply_fault: float = 0.0
    """Share of calls that raise, or let a cancellation out, at either end."""
    decline: float = 0.0
    """Share of captures that turn out not to be possible now."""

    # What the operators do.
    stop_every_ms: int = 0
    """A node is stopped in good order, or is cancelled while it stops."""
    cancel_every_ms: int = 0
    """Somebody cancels a task of a node."""
    snapshot_every_ms: int = 0
    """Somebody asks for a snapshot, and may not wait for it."""
    membership_every_ms: int = 0
    transfer_every_ms: int = 0
    cut_on_transfer: float = 0.0
    """Share of transfers at which the old leader loses all its links."""
    heir_away: float = 0.0
    """Share of transfers at which the heir loses all links and the leader dies. Whoever leads next
    then lacks the one link to that heir."""
    end_on_change: float = 0.0
    """The first part ends, if it can, just when a change of members is committed."""

    # The configuration.
    refuse: float = 0.0
    """Share of entries that a follower's authority refuses for now."""
    priorities: bool = False
    lease_reads: bool = False
    durable_state: bool = True
    """The state machine survives a crash; otherwise it starts from the newest snapshot."""
    snapshot_entries: int = 0
    """0: no snapshots, and the log only grows."""
    trailing_entries: int = 2
    chunk_bytes: int = 64
    election_ticks: int = 6
    heartbeat_ticks: int = 1
    tick_ms: int = 50
    sleepy: bool = False
    """As many ticks are made up for after a sleep as there may be."""
    message_entries: int = 3
    window_messages: int = 2
    tail_bytes: int = 4_096
    burst: int = 1
    """A client's request brings up to so many others that nobody waits for."""

    FAULTS: ClassVar[Mapping[str, float | bool]] = {
        "loss": 0.0,
        "duplicate": 0.0,
        "delay_ms": 4,
        "late": 0.0,
        "answer_of_before": 0.0,
        "in_order": True,
        "partition_every_ms": 0,
        "crash_every_ms": 0,
        "crash_on_write": 0.0,
        "crash_on_election": 0.0,
        "crash_on_commit": 0.0,
        "cut_on_candidacy": 0.0,
        "pause_every_ms": 0,
        "doze_every_ms": 0,
        "turn_ms": 0,
        "clock_back": 0.0,
        "drift": 0.0,
        "disk_ms": 2,
        "hang": 0.0,
        "damage": 0.0,
        "garble": 0.0,
        "wipe": 0.0,
        "answer_late": 0.0,
        "store_fault": 0.0,
        "apply_ms": 0,
        "apply_fault": 0.0,
        "decline": 0.0,
        "stop_every_ms": 0,
        "cancel_every_ms": 0,
        "snapshot_every_ms": 0,
        "membership_every_ms": 0,
        "transfer_every_ms": 0,
        "cut_on_transfer": 0.0,
        "heir_away": 0.0,
        "end_on_change": 0.0,
        "refuse": 0.0,
        "priorities": False,
        "lease_reads": False,
        "durable_state": True,
        "snapshot_entries": 0,
        "burst": 1,
    }
    """Each kind with the value at which it is absent."""

    @classmethod
    def draw(cls, seed: int) -> Plan:
        """Some run."""
        rng = Random(f"{seed}/plan")

        def some(absent: Any, *present: Any, share: float = 0.5) -> Any:
            return rng.choice(present) if rng.random() < share else absent

        voters = rng.choice([3, 3, 3, 4, 5, 5, 7])
        changes = some(0, 40, 120, 400, share=0.5)
        snapshots = some(0, 8, 20, 50, share=0.6)
        lease_reads = some(False, True, share=0.35)
        often = 0.7 if lease_reads else 0.4  # what a lease must withstand
        return cls(
            seed=seed,
            voters=voters,
            learners=rng.choice([0, 0, 1, 2]),
            spares=rng.choice([1, 2]) if changes else 0,
            clients=rng.choice([2, 3, 4]),
            readers=rng.choice([1, 2] if lease_reads else [0, 1, 2]),
            keys=rng.choice([1, 2, 3]),
            think_ms=rng.choice([20, 60, 150]),
            duration_ms=rng.choice([5_000, 10_000, 15_000]),
            loss=some(0.0, 0.01, 0.05, 0.15, 0.3),
            duplicate=some(0.0, 0.05, 0.2, 0.5),
            delay_ms=rng.choice([2, 10, 40, 100]),
            late=some(0.0, 0.01, 0.05, 0.2),
            answer_of_before=some(0.0, 0.02, 0.2, share=0.3),
            in_order=some(False, True, share=0.2),
            partition_every_ms=some(0, 400, 1_000, 2_500, share=0.6),
            crash_every_ms=some(0, 300, 800, 2_000, share=0.6),
            crash_on_write=some(0.0, 0.005, 0.03, 0.1),
            crash_on_election=some(0.0, 0.1, 0.5, share=0.4),
            crash_on_commit=some(0.0, 0.01, 0.1, share=0.4),
            cut_on_candidacy=some(0.0, 0.3, share=0.3),
            pause_every_ms=some(0, 300, 1_500, share=often),
            doze_every_ms=some(0, 1_500, share=0.15),
            turn_ms=some(0, 1, 10, share=0.3),
            clock_back=some(0.0, 0.3, share=0.2),
            # A lease is only promised for clocks that differ by less than a quarter.
            drift=some(0.0, 0.1, 0.1 if lease_reads else 0.2),
            disk_ms=rng.choice([1, 2, 10, 40]),
            hang=some(0.0, 0.003, 0.02, share=0.3),
            damage=some(0.0, 0.2, 0.6),
            garble=some(0.0, 0.02, share=0.4) if snapshots else 0.0,
            wipe=some(0.0, 0.2, share=0.15),
            answer_late=some(0.0, 0.02, 0.2, share=0.35),
            store_fault=some(0.0, 0.001, 0.01, share=0.25),
            apply_ms=some(0, 5, 40, share=0.35),
            apply_fault=some(0.0, 0.002, 0.02, share=0.25),
            decline=some(0.0, 0.3, share=0.3) if snapshots else 0.0,
            stop_every_ms=some(0, 700, 2_000, share=0.25),
            cancel_every_ms=some(0, 1_500, 4_000, share=0.2),
            snapshot_every_ms=some(0, 200, 1_000, share=0.3) if snapshots else 0,
            membership_every_ms=changes,
            transfer_every_ms=some(0, 200, 800, share=often),
            cut_on_transfer=some(0.0, 0.2, 0.6),
            heir_away=some(0.0, 0.3, share=0.3),
            end_on_change=0.5 if changes else 0.0,
            refuse=some(0.0, 0.02, share=0.25),
            priorities=some(False, True, share=0.25),
            lease_reads=lease_reads,
            durable_state=some(True, False) if snapshots else True,
            snapshot_entries=snapshots,
            trailing_entries=rng.choice([0, 2, 10]),
            chunk_bytes=rng.choice([48, 128, 512]),
            election_ticks=rng.choice([4, 6, 10]),
            heartbeat_ticks=rng.choice([1, 2]),
            message_entries=rng.choice([1, 2, 5]),
            window_messages=rng.choice([1, 2, 4]),
            tail_bytes=rng.choice([1_024, 4_096, 16_384]),
            burst=some(1, 3, 8, share=0.4),
        )

    @classmethod
    def aim(cls, seed: int) -> Plan:
        """A run aimed at what may be believed of a leader: by turns at heirs, sleep, late answers.

        Few nodes, no damage, no changes of members, little else that goes wrong. An heir, or who
        campaigns, is no danger without the newest entry: few writes.
        """
        rng = Random(f"{seed}/aim")
        kind = seed % 3
        return cls(
            seed=seed,
            voters=3 if kind == 2 else rng.choice([3, 3, 5]),
            clients=1,
            readers=1,
            think_ms=rng.choice([1_000, 4_000]),
            duration_ms=12_000,
            loss=rng.choice([0.0, 0.0, 0.05]),
            delay_ms=rng.choice([4, 15]),
            doze_every_ms=1_000 if kind == 1 else 0,
            late_answer_every_ms=1_000 if kind == 2 else 0,
            turn_ms=rng.choice([0, 0, 1]),
            drift=rng.choice([0.0, 0.1]),
            transfer_every_ms=rng.choice([400, 800]) if kind == 0 else 0,
            heir_away=0.9 if kind == 0 else 0.0,
            lease_reads=True,
            election_ticks=rng.choice([6, 10, 16]),
            heartbeat_ticks=rng.choice([1, 2]),
            sleepy=True,
        )

    @classmethod
    def parse(cls, line: str) -> Plan:
        """The plan of a line.

        `seed=7 loss=0.1` is what seed 7 draws, but for the loss; `whole seed=7 loss=0.1` is a run
        without faults, but for the loss. What follows `#` is a comment.

        Raises:
            ValueError: when a word is no field.
        """
        words = line.split("#", maxsplit=1)[0].split()
        whole = words[:1] == ["whole"]
        given = dict(word.split("=", 1) for word in words[whole:])
        seed = int(given.pop("seed"))
        types = {name: type(value) for name, value in asdict(cls()).items()}
        changes: dict[str, Any] = {}
        for name, text in given.items():
            if name not in types:
                raise ValueError(f"a plan has no {name}")
            changes[name] = text == "True" if types[name] is bool else types[name](text)
        return replace(cls(seed=seed) if whole else cls.draw(seed), **changes)

    def line(self) -> str:
        """A line for `parse`, short as long as seeds draw what they draw today."""
        return " ".join([f"seed={self.seed}", *self._beyond(Plan.draw(self.seed))])

    def whole_line(self) -> str:
        """A line for `parse` that says everything."""
        return " ".join(["whole", f"seed={self.seed}", *self._beyond(Plan(seed=self.seed))])

    def without(self, fault: str) -> Plan:
        """The plan without one kind of `FAULTS`."""
        changes: dict[str, Any] = {fault: self.FAULTS[fault]}
        return replace(self, **changes)

    def less(self, name: str, number: int) -> Plan:
        """The plan with another number of something."""
        changes: dict[str, Any] = {name: number}
        return replace(self, **changes)

    def _beyond(self, base: Plan) -> list[str]:
        known = asdict(base)
        return [f"{name}={value}" for name, value in asdict(self).items() if value != known[name]]
