"""The directives of scenario files. Owns what each does; `stage` owns how members move.

    add-nodes N [voters=1,2 learners=3] [limit=value…]   + lines `i [log=1,1,2] [term= vote= …]`
    campaign i            tick i|all [n]        run n       stabilize [i…] [type=] [quiet]
    propose i word…       process i|all         write i  read i [if-any]  apply i|all
    deliver [i…] [from=] [type=] [first=n] [drop|dup|reverse]
    keep|copy NAME [i…] [from=] [type=]         replay NAME
    forge i->j Vote term= last=term/index       partition 1,2|3   cut 1->2   heal
    crash i [lose-unsynced|torn]                restart i [fresh-state]   wipe i   corrupt i index
    save-log i   load-log i      save i   load i   empty i
    hang i  unhang i      fsync-fail i          refuse i  accept i
    change-membership i voters=1,2 [learners=]  transfer i [j]     read-index i ticket
    snapshot i            compact i index       corrupt-chunk i    lose-snapshot i
    clock i ms            timeout i ticks       protect i index    leave-out i
    log i   state   status i   disk i           expect …  (see `expectations`)

`process` takes what a core has ready: its messages are in the network then, its write waits for
`write`. `stabilize` lets everything happen until nothing moves; `run` does so after each tick.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

from consensus import codec
from consensus.config import RaftConfig
from consensus.errors import ConsensusError
from consensus.ports import Admission
from consensus.types import HardState, LogIndex, NodeId, Term
from tests.consensus.disk import Disk
from tests.consensus.expectations import expect
from tests.consensus.lab import chain
from tests.consensus.letters import vote_request
from tests.consensus.member import Member, StageRng
from tests.consensus.settling import close, run_once, stabilize
from tests.consensus.stage import Mail, Stage
from tests.consensus.trace import KINDS, show_batch
from tests.consensus.views import place_of, show_disk, show_followers, show_log


class Arguments:
    """The words behind a directive: `name=value` ones, and the rest in order."""

    def __init__(self, words: Iterable[str]) -> None:
        self.plain: list[str] = []
        self.named: dict[str, str] = {}
        for word in words:
            name, equals, value = word.partition("=")
            if equals:
                self.named[name] = value
            else:
                self.plain.append(word)

    def flag(self, name: str) -> bool:
        """Whether `name` stands there; it is taken away."""
        if name in self.plain:
            self.plain.remove(name)
            return True
        return False

    def numbers(self) -> list[int]:
        """The plain words as numbers."""
        return [int(word) for word in self.plain]


def numbers_of(text: str) -> tuple[int, ...]:
    """`1,2,3`; `none` is empty."""
    return () if text == "none" else tuple(int(number) for number in text.split(","))


class Director:
    """Carries out directives on a stage."""

    def __init__(self, stage: Stage | None = None) -> None:
        self.stage = stage or Stage()
        self.left_out: set[int] = set()
        """Members that need not agree with the others at the end."""
        self.copies: dict[int, tuple[Disk, LogIndex, list[str]]] = {}
        self.refusal: ConsensusError | None = None
        """Of the last directive, until an `expect` takes note of it."""
        self._directives: dict[str, Callable[[Arguments, list[str]], None]] = {
            name.removeprefix("_do_").replace("_", "-"): getattr(self, name)
            for name in dir(self)
            if name.startswith("_do_")
        }

    def carry_out(self, line: str, body: list[str]) -> list[str]:
        """Do what `line` says, with its indented lines; what there is to print."""
        name, *words = line.split()
        self.stage.out = []
        if name == "expect":
            refusal, self.refusal = self.refusal, None
            for expectation in [" ".join(words), *body]:
                if expectation:
                    refusal = expect(self.stage, expectation, refusal)
            self._must_be_expected(refusal)
            return []
        self._must_be_expected(self.refusal)
        try:
            self._directives[name](Arguments(words), body)
        except ConsensusError as error:
            self.refusal = error
            self.stage.out.append(f"  refused: {error}")
        return self.stage.out

    def close(self) -> None:
        """The file is over: see that everybody agrees once all faults are gone."""
        self._must_be_expected(self.refusal)
        close(self.stage, self.left_out)

    @staticmethod
    def _must_be_expected(refusal: ConsensusError | None) -> None:
        if refusal is not None:
            raise AssertionError(f"nobody expected the refusal: {refusal}")

    # --- Members and their faults --------------------------------------------------------------

    def _do_add_nodes(self, arguments: Arguments, body: list[str]) -> None:
        (count,) = arguments.numbers()
        first = len(self.stage.members) + 1
        numbers = range(first, first + count)
        learners = numbers_of(arguments.named.pop("learners", "none"))
        others = [number for number in numbers if number not in learners and first == 1]
        named = arguments.named.pop("voters", None)
        voters = others if named is None else numbers_of(named)
        lines = {int(line.split()[0]): Arguments(line.split()[1:]) for line in body}
        for number in numbers:
            own = lines.get(number, Arguments([]))
            limits = {**arguments.named, **own.named}
            member = self.stage.add(voters, learners, **_limits(limits))
            self._furnish(member, own)
            self.stage.start(member)

    @staticmethod
    def _furnish(member: Member, own: Arguments) -> None:
        entries = chain(*numbers_of(own.named.get("log", "none")))
        term = int(own.named.get("term", entries[-1].term if entries else 0))
        vote = own.named.get("vote")
        member.disk.entries = entries
        member.disk.hard_state = HardState(Term(term), None if vote is None else NodeId(int(vote)))
        member.disk.suspect = own.flag("suspect")
        member.protected = int(own.named.get("protected", 0))
        member.applied = LogIndex(int(own.named.get("applied", 0)))
        member.words = [entry.payload.decode() for entry in entries[: member.applied]]

    def _do_crash(self, arguments: Arguments, _: list[str]) -> None:
        lost = arguments.flag("lose-unsynced")
        torn = arguments.flag("torn")
        (member,) = self._members(arguments)
        if member.write is not None:
            what = show_batch(member.write.batch)
            if lost or torn:
                how = "torn, so it is void" if torn else "lost"
                self.stage.out.append(f"  {member.number}: {what} is {how}")
            else:  # the process dies, but the disk has it all and finishes
                member.disk.write(member.write.batch)
                self.stage.out.append(f"  {member.number}: {what} is on the disk")
        self.stage.stop(member)

    def _do_restart(self, arguments: Arguments, _: list[str]) -> None:
        fresh = arguments.flag("fresh-state")
        (member,) = self._members(arguments)
        if fresh:
            member.applied, member.words = LogIndex(0), []
        self.stage.start(member)
        self.stage.out.append("  " + place_of(member))

    def _do_wipe(self, arguments: Arguments, _: list[str]) -> None:
        (member,) = self._members(arguments)
        assert member.core is None, "only the disk of a stopped member can be taken out"
        member.disk = Disk()
        member.disk.suspect = True
        member.applied, member.words = LogIndex(0), []
        self.stage.invariants.wiped(member.number)

    def _do_corrupt(self, arguments: Arguments, _: list[str]) -> None:
        number, index = arguments.numbers()
        member = self.stage.members[number]
        assert member.core is None, "damage is found at start"
        assert member.disk.hash_at(index) is not None, "no such entry"
        member.disk.damaged.add(index)

    def _do_save_log(self, arguments: Arguments, _: list[str]) -> None:
        for member in self._members(arguments):
            member.saved = list(member.disk.entries)

    def _do_load_log(self, arguments: Arguments, _: list[str]) -> None:
        """An older copy of the log comes back, beside a hard state that contradicts it."""
        for member in self._members(arguments):
            assert member.core is None, "a running member does not read its log"
            member.disk.entries = list(member.saved)
            member.disk.suspect = True

    def _do_save(self, arguments: Arguments, _: list[str]) -> None:
        """Copy all files of a member."""
        for member in self._members(arguments):
            self.copies[member.number] = copy.deepcopy((member.disk, member.applied, member.words))

    def _do_load(self, arguments: Arguments, _: list[str]) -> None:
        """The copy takes the place of all files: nothing on them shows that they are old."""
        for member in self._members(arguments):
            assert member.core is None, "a running member does not read its files"
            files = copy.deepcopy(self.copies[member.number])
            member.disk, member.applied, member.words = files
            self.stage.invariants.wiped(member.number)

    def _do_empty(self, arguments: Arguments, _: list[str]) -> None:
        """As `wipe`, and nobody says so."""
        self._do_wipe(arguments, [])
        self._members(arguments)[0].disk.suspect = False

    def _do_hang(self, arguments: Arguments, _: list[str]) -> None:
        for member in self._members(arguments):
            member.hung = True

    def _do_unhang(self, arguments: Arguments, _: list[str]) -> None:
        for member in self._members(arguments):
            member.hung = False

    def _do_fsync_fail(self, arguments: Arguments, _: list[str]) -> None:
        for member in self._members(arguments):
            member.fails = True

    def _do_refuse(self, arguments: Arguments, _: list[str]) -> None:
        for member in self._members(arguments):
            member.authority.verdict = Admission.REFUSE

    def _do_accept(self, arguments: Arguments, _: list[str]) -> None:
        for member in self._members(arguments):
            member.authority.verdict = Admission.ACCEPT

    def _do_leave_out(self, arguments: Arguments, _: list[str]) -> None:
        self.left_out.update(arguments.numbers())

    # --- Time ----------------------------------------------------------------------------------

    def _do_tick(self, arguments: Arguments, _: list[str]) -> None:
        count = int(arguments.plain.pop()) if len(arguments.plain) > 1 else 1
        for _round in range(count):
            for member in self._members(arguments):
                self.stage.tick(member)

    def _do_campaign(self, arguments: Arguments, _: list[str]) -> None:
        (member,) = self._members(arguments)
        core = self.stage.running(member.number)
        before = core.roles.elections.campaign
        for _tick in range(100):
            self.stage.tick(member)
            if (
                core.roles.elections.campaign is not None
                and core.roles.elections.campaign is not before
            ):
                return
        self.stage.out.append(f"  {member.number}: does not campaign")

    def _do_run(self, arguments: Arguments, _: list[str]) -> None:
        (count,) = arguments.numbers()
        self.stage.quiet = True
        for _round in range(count):
            run_once(self.stage)
        self.stage.quiet = False

    def _do_clock(self, arguments: Arguments, _: list[str]) -> None:
        number, milliseconds = arguments.numbers()
        self.stage.members[number].clock_ms += milliseconds

    def _do_timeout(self, arguments: Arguments, _: list[str]) -> None:
        number, ticks = arguments.numbers()
        core = self.stage.running(number)
        rng = core.roles.elections._rng
        assert isinstance(rng, StageRng)
        rng.shift = ticks - core.state.config.election_ticks
        core.roles.elections._timeout = ticks

    # --- What members do -----------------------------------------------------------------------

    def _do_process(self, arguments: Arguments, _: list[str]) -> None:
        for member in self._members(arguments):
            self.stage.process(member)

    def _do_write(self, arguments: Arguments, _: list[str]) -> None:
        for member in self._members(arguments):
            assert self.stage.write(member), "nothing to write"

    def _do_read(self, arguments: Arguments, _: list[str]) -> None:
        optional = arguments.flag("if-any")
        for member in self._members(arguments):
            assert self.stage.read(member) or optional, "nothing to read"

    def _do_apply(self, arguments: Arguments, _: list[str]) -> None:
        for member in self._members(arguments):
            self.stage.apply(member)

    def _do_propose(self, arguments: Arguments, _: list[str]) -> None:
        number, *words = arguments.plain
        core = self.stage.running(int(number))
        for word in words:
            core.propose(word.encode(), core.term)
        self.stage.observe(self.stage.members[int(number)])

    def _do_change_membership(self, arguments: Arguments, _: list[str]) -> None:
        (member,) = self._members(arguments)
        voters = [NodeId(voter) for voter in numbers_of(arguments.named["voters"])]
        learners = [NodeId(node) for node in numbers_of(arguments.named.get("learners", "none"))]
        self.stage.running(member.number).change_membership(voters, learners)
        self.stage.observe(member)

    def _do_transfer(self, arguments: Arguments, _: list[str]) -> None:
        number, *to = arguments.numbers()
        chosen = self.stage.running(number).transfer(NodeId(to[0]) if to else None)
        self.stage.out.append(f"  {number}: hands over to {chosen}")

    def _do_read_index(self, arguments: Arguments, _: list[str]) -> None:
        number, ticket = arguments.numbers()
        member = self.stage.members[number]
        self.stage.running(number).read_index(ticket, member.clock_ms)

    def _do_snapshot(self, arguments: Arguments, _: list[str]) -> None:
        (member,) = self._members(arguments)
        snapshot = self.stage.capture(member)
        self.stage.out.append(
            f"  {member.number}: snapshot {snapshot.term}/{snapshot.index} of {snapshot.size} bytes"
        )

    def _do_compact(self, arguments: Arguments, _: list[str]) -> None:
        number, index = arguments.numbers()
        self.stage.running(number).compact(LogIndex(index))
        self.stage.observe(self.stage.members[number])

    def _do_protect(self, arguments: Arguments, _: list[str]) -> None:
        number, index = arguments.numbers()
        self.stage.members[number].protected = index
        self.stage.running(number).protect(LogIndex(index))

    def _do_corrupt_chunk(self, arguments: Arguments, _: list[str]) -> None:
        (member,) = self._members(arguments)
        arriving = member.disk.shelf.arriving
        assert arriving is not None, "no snapshot is arriving"
        arriving[1][0] ^= 1

    def _do_lose_snapshot(self, arguments: Arguments, _: list[str]) -> None:
        (member,) = self._members(arguments)
        del member.disk.shelf.complete[:-1]
        if not arguments.named:
            member.disk.shelf.complete.clear()

    # --- The network ---------------------------------------------------------------------------

    def _do_deliver(self, arguments: Arguments, _: list[str]) -> None:
        drop, dup = arguments.flag("drop"), arguments.flag("dup")
        backwards = arguments.flag("reverse")
        chosen = self._take(arguments)
        for mail in reversed(chosen) if backwards else chosen:
            if drop:
                self._show_lost(mail)
                continue
            for _copy in range(2 if dup else 1):
                self.stage.deliver(mail)

    def _do_keep(self, arguments: Arguments, _: list[str]) -> None:
        name = arguments.plain.pop(0)
        self.stage.shelves[name] = self._take(arguments)
        assert self.stage.shelves[name], "nothing to keep back"

    def _do_copy(self, arguments: Arguments, _: list[str]) -> None:
        name = arguments.plain.pop(0)
        before = list(self.stage.mail)
        self.stage.shelves[name] = self._take(arguments)
        assert self.stage.shelves[name], "nothing to copy"
        self.stage.mail = before

    def _do_replay(self, arguments: Arguments, _: list[str]) -> None:
        (name,) = arguments.plain
        for mail in self.stage.shelves[name]:
            self.stage.deliver(mail)

    def _do_forge(self, arguments: Arguments, _: list[str]) -> None:
        """What no honest member would send: a request for a vote that nobody asked it to make."""
        link, kind = arguments.plain
        assert kind == "Vote"
        sender, to = (int(end) for end in link.split("->"))
        last_term, last_index = map(int, arguments.named["last"].split("/"))
        message = vote_request(int(arguments.named["term"]), last_index, last_term)
        self.stage.mail.append((sender, to, codec.encode(message)))

    def _take(self, arguments: Arguments) -> list[Mail]:
        to = set(arguments.numbers())
        senders = set(numbers_of(arguments.named.get("from", "none")))
        kinds = _kinds(arguments)
        most = int(arguments.named.get("first", len(self.stage.mail)))
        chosen: list[Mail] = []
        left: list[Mail] = []
        for mail in self.stage.mail:
            sender, receiver, _ = mail
            wanted = (
                (not to or receiver in to)
                and (not senders or sender in senders)
                and self.stage.kind(mail) in kinds
                and len(chosen) < most
            )
            (chosen if wanted else left).append(mail)
        self.stage.mail = left
        return chosen

    def _show_lost(self, mail: Mail) -> None:
        sender, to, _ = mail
        self.stage.out.append(f"{sender}->{to} {self.stage.kind(mail)} lost")

    def _do_partition(self, arguments: Arguments, _: list[str]) -> None:
        (groups,) = arguments.plain
        sides = [numbers_of(side) for side in groups.split("|")]
        for side in sides:
            for other in sides:
                if side is not other:
                    self.stage.cut |= {(a, b) for a in side for b in other}

    def _do_cut(self, arguments: Arguments, _: list[str]) -> None:
        for link in arguments.plain:
            sender, to = link.split("->")
            self.stage.cut.add((int(sender), int(to)))

    def _do_heal(self, _arguments: Arguments, _: list[str]) -> None:
        self.stage.cut.clear()

    # --- Everything at once --------------------------------------------------------------------

    def _do_stabilize(self, arguments: Arguments, _: list[str]) -> None:
        self.stage.quiet = arguments.flag("quiet")
        stabilize(self.stage, arguments.numbers(), _kinds(arguments))
        self.stage.quiet = False

    # --- What there is to see ------------------------------------------------------------------

    def _do_log(self, arguments: Arguments, _: list[str]) -> None:
        for member in self._members(arguments):
            self.stage.out += show_log(self.stage.running(member.number))

    def _do_state(self, _arguments: Arguments, _: list[str]) -> None:
        self.stage.out += [place_of(member) for member in self.stage.members.values()]

    def _do_status(self, arguments: Arguments, _: list[str]) -> None:
        for member in self._members(arguments):
            self.stage.out += show_followers(self.stage.running(member.number))

    def _do_disk(self, arguments: Arguments, _: list[str]) -> None:
        self.stage.out += [show_disk(member) for member in self._members(arguments)]

    def _members(self, arguments: Arguments) -> list[Member]:
        if arguments.plain == ["all"]:
            return [member for member in self.stage.members.values() if member.core is not None]
        return [self.stage.members[number] for number in arguments.numbers()]


def _kinds(arguments: Arguments) -> frozenset[str]:
    """The kinds of messages that `type=` names; `Votes` are all of an election."""
    if "type" not in arguments.named:
        return KINDS
    named = arguments.named["type"].replace("Votes", "PreVote,PreVoteAnswer,Vote,VoteAnswer")
    kinds = frozenset(named.split(","))
    assert kinds <= KINDS, f"no such messages: {kinds - KINDS}"
    return kinds


def _limits(named: dict[str, str]) -> dict[str, int | bool]:
    limits: dict[str, int | bool] = {}
    for name, value in named.items():
        field = name.replace("-", "_")
        if field in RaftConfig.__struct_fields__:
            limits[field] = value == "yes" if value in {"yes", "no"} else int(value)
    return limits


def act(stage: Stage, *directives: str) -> Stage:
    """Carry out directives for a test that is no scenario; a refusal is raised."""
    director = Director(stage)
    for directive in directives:
        director.carry_out(directive, [])
        if director.refusal is not None:
            raise director.refusal
    return stage


def play(*directives: str) -> Stage:
    """A stage after these directives."""
    return act(Stage(), *directives)
