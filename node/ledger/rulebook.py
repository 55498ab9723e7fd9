"""The laws together, and what follows from them. Owns every table that is derived from the laws.

A type, a tag or a name that stands twice, a table of two laws, a rule attached to an operation that
nobody has: each is an error when the rulebook is made, that is at import. Knows no single rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, get_args

from node.ledger.codes import Code, Table
from node.ledger.operations import LAWS, ByKey, DirectOperation
from node.ledger.participants import ALL_SCOPES, PARTICIPANTS
from node.ledger.reads import Naming, Reads
from node.ledger.row_codec import LIVE, RULES, TableKind
from node.ledger.spec import Attached, Carried, Facts, Invariant, Law, OperationSpec, Sealed
from node.ledger.step import Step

Rule = Callable[[Step, Any], Code]

MACHINE_TABLES: tuple[TableKind[Any], ...] = (RULES, LIVE, PARTICIPANTS)
"""What the machine keeps, or asks of every transaction. Any law may change the last."""
_SHARED_TABLES = frozenset({Table.META, Table.PARTICIPANT})


class RulebookError(ValueError):
    """The laws contradict each other."""


class Rulebook:
    """All that is known of the operations of some laws: one dictionary for each question."""

    def __init__(self, laws: Sequence[Law]) -> None:
        """Derive the tables.

        Raises:
            RulebookError: naming what stands twice, or nowhere.
        """
        self.laws = tuple(laws)
        specs = [spec for law in laws for spec in law.operations]
        _check_once("operation", (spec.kind.__name__ for spec in specs), laws)
        _check_once("operation", (spec.kind for spec in specs), laws)
        _check_once("tag", (tag_of(spec.kind) for spec in specs), laws)
        _check_once("name", (spec.name for spec in specs), laws)
        self.tables = (*MACHINE_TABLES, *(kind for law in laws for kind in law.tables))
        _check_once("table kind", self.tables, laws)
        _check_tables(laws)
        self.invariants: tuple[Invariant[Any], ...] = tuple(i for w in laws for i in w.invariants)
        self.value_names: dict[type, str] = {k: v for w in laws for k, v in w.value_names.items()}
        self.specs: dict[type, OperationSpec[Any]] = {spec.kind: spec for spec in specs}
        self.attached: dict[type, list[Attached[Any]]] = {}
        for law in laws:
            for attached in law.attached:
                if attached.kind not in self.specs:
                    raise RulebookError(
                        f"{law.name} attaches a rule to {attached.kind.__name__}, which no law has"
                    )
                self.attached.setdefault(attached.kind, []).append(attached)
        self._derive(specs)

    def _derive(self, specs: Sequence[OperationSpec[Any]]) -> None:
        self.rules: dict[type, Rule] = {s.kind: self._rule(s) for s in specs}
        self.reads: dict[type, Naming] = {s.kind: self._naming(s) for s in specs}
        self.refusals: dict[type, frozenset[Code]] = {
            s.kind: s.refusals.union(*(a.refusals for a in self.attached.get(s.kind, ())))
            for s in specs
        }
        self.scopes: dict[type, int] = {s.kind: int(s.scopes) for s in specs}
        # Carrying a bare key's operation: the bare key answers for it.
        self.scopes[ByKey] = ALL_SCOPES
        self.names: dict[type, str] = {s.kind: s.name for s in specs}
        self.tag_names: dict[int, str] = {tag_of(s.kind): s.name for s in specs}
        self.open_to_keys = frozenset(s.kind for s in specs if s.by_key)
        self.blobs: dict[type, Callable[[Any], Sequence[bytes]]] = {
            s.kind: s.carries_blobs for s in specs if s.carries_blobs is not None
        }
        self.sealed: dict[type, Callable[[Any], Sealed]] = {
            s.kind: s.sealed for s in specs if s.sealed is not None
        }
        self.carried: dict[type, Callable[[Any], Carried]] = {
            s.kind: s.carried for s in specs if s.carried is not None
        }
        self.facts: dict[type, Callable[[Any], Facts]] = {
            s.kind: s.facts for s in specs if s.facts is not None
        }

    def _rule(self, spec: OperationSpec[Any]) -> Rule:
        attached = [each.apply for each in self.attached.get(spec.kind, ())]
        return _in_turn(spec.apply, attached) if attached else spec.apply

    def _naming(self, spec: OperationSpec[Any]) -> Naming:
        attached = [each.reads for each in self.attached.get(spec.kind, ())]
        if not attached:
            return spec.reads

        def name_all(reads: Reads, actor: str, operation: object) -> None:
            spec.reads(reads, actor, operation)
            for naming in attached:
                naming(reads, actor, operation)

        return name_all


def _in_turn(own: Rule, attached: Sequence[Rule]) -> Rule:
    """The operation's own rule, then what other domains attach, until one refuses."""

    def apply(step: Step, operation: object) -> Code:
        step.repeated = False
        code = own(step, operation)
        # An order that was repeated is a success that changed nothing: nothing follows from it.
        if code or step.repeated:
            return code
        for rule in attached:
            code = rule(step, operation)
            if code:
                return code
        return Code.OK

    return apply


def tag_of(kind: type) -> int:
    """The number by which an operation is told on the wire and in the query index."""
    tag: int = kind.__struct_config__.tag  # type: ignore[attr-defined]
    return tag


def _check_once(what: str, values: Iterable[object], laws: Sequence[Law]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            names = ", ".join(law.name for law in laws)
            raise RulebookError(f"{what} {value!r} stands twice in the laws of {names}")
        seen.add(value)


def _check_tables(laws: Sequence[Law]) -> None:
    owners: dict[Table, str] = {LIVE.table: "the machine"}
    for law in laws:
        for table in {kind.table for kind in law.tables} - _SHARED_TABLES:
            if owners.setdefault(table, law.name) != law.name:
                raise RulebookError(f"{table!r} is of {owners[table]} and of {law.name}")


RULEBOOK = Rulebook(LAWS)


@lru_cache(maxsize=16)
def rulebook_of(domains: tuple[str, ...]) -> Rulebook:
    """That of a network with these domains. What another domain attaches is absent with it.

    Raises:
        RulebookError: this program does not know one, or one needs another that is not there.
    """
    known = {law.name for law in LAWS}
    for name in domains:
        if name not in known:
            raise RulebookError(
                f"this program knows no domain {name!r}; it knows {', '.join(sorted(known))}"
            )
    laws = tuple(law for law in LAWS if law.name in domains)
    return RULEBOOK if laws == RULEBOOK.laws else Rulebook(laws)


def _check_union() -> None:
    decoded = set(get_args(DirectOperation))
    if decoded != RULEBOOK.specs.keys():
        names = sorted(kind.__name__ for kind in decoded ^ RULEBOOK.specs.keys())
        raise RulebookError(f"{', '.join(names)}: in a law or in the union of operations, not both")


_check_union()
