"""What the machine must know of an operation, as one value. Owns that form; knows no operation.

A domain's `law.py` lists these, and `rulebook` derives from them all that is known of an operation
anywhere: its rule, what is read ahead for it, which keys sign it, its name, what a trace keeps, its
refusals. Nothing of it is written down a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

from node.ledger.codes import Code
from node.ledger.genesis import DomainTerms, Genesis
from node.ledger.participants import Scope
from node.ledger.reads import Reads
from node.ledger.row_codec import Row, TableKind
from node.ledger.step import Step

Op = TypeVar("Op")

Facts = tuple[int | None, str | None, int | None]
"""What a trace keeps of an operation: an amount, another party or word, the number of a part."""
own_blobs: Callable[[Any], Sequence[bytes]] = attrgetter("blobs")
"""Of an operation with a field `blobs`. In C: it is asked of every invoice that is issued."""
OpeningRow = tuple[TableKind[Any], bytes, object]
"""A row of the state before the first block: its kind, its key, itself."""


class Sealed(NamedTuple):
    """The sealed details of which an operation commits to every item."""

    kind: str
    """Whose they are, as a proof names it: details of several kinds must not pass for another."""
    number: str
    """Of the document that they belong to."""
    commitment: bytes | None
    """None: it has none."""


class Carried(NamedTuple):
    """An operation inside another of the same author."""

    operation: Any
    fields: Mapping[str, object]
    """What the outer one says beside it, as it is shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperationSpec(Generic[Op]):
    """One operation. `Op` ties the parts together: a rule of another operation is a type error."""

    kind: type[Op]
    name: str
    """As in paths, traces and the rule book."""
    row: int | None
    """Of the domain's table in the rule book; None: it stands in no table."""
    apply: Callable[[Step, Op], Code]
    scopes: Scope
    """A key that signs it has at least one of these. Who may act is the rule's business."""
    refusals: frozenset[Code]
    """What `apply` may answer beside OK."""
    reads: Callable[[Reads, str, Op], None]
    by_key: bool = False
    """Whether a bare key may act: a party without a participant's roles."""
    carries_blobs: Callable[[Op], Sequence[bytes]] | None = None
    """Hashes of the sealed blobs that travel beside the transaction."""
    sealed: Callable[[Op], Sealed] | None = None
    """Of an operation whose details a proof may show in part."""
    carried: Callable[[Op], Carried] | None = None
    """Of an operation that carries another: that one is what is shown, and has the details."""
    facts: Callable[[Op], Facts] | None = None
    """For operations on an invoice: each is a step of its trace."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached(Generic[Op]):
    """A rule of one domain about an operation of another."""

    kind: type[Op]
    apply: Callable[[Step, Op], Code]
    reads: Callable[[Reads, str, Op], None]
    refusals: frozenset[Code]


def also(
    kind: type[Op],
    *,
    reads: Callable[[Reads, str, Op], None],
    apply: Callable[[Step, Op], Code],
    refusals: frozenset[Code] = frozenset(),
) -> Attached[Op]:
    """Attach a rule to another domain's operation.

    It runs in the same step, after the operation's own rule has succeeded and changed something; if
    it refuses, the whole transaction is refused. A network without this domain does not have it.
    """
    return Attached(kind=kind, apply=apply, reads=reads, refusals=refusals)


def _no_rows(_: Genesis) -> Sequence[OpeningRow]:
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Invariant(Generic[Row]):
    """What must hold of every row of a kind, whatever rules made it. For audits and tests."""

    name: str
    """What the rows are, as an audit counts them."""
    kind: TableKind[Row]
    broken: Callable[[Row], Sequence[str]]
    """What is wrong with a row; empty when nothing is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Law:
    """A domain, as far as the ledger is concerned."""

    name: str
    operations: tuple[OperationSpec[Any], ...]
    tables: tuple[TableKind[Any], ...]
    attached: tuple[Attached[Any], ...] = ()
    opening: Callable[[Genesis], Sequence[OpeningRow]] = _no_rows
    """Its rows of the state before the first block."""
    terms: type[DomainTerms] | None = None
    """Its terms and limits, which the genesis fixes; rules find them by `step.terms.of(kind)`."""
    invariants: tuple[Invariant[Any], ...] = ()
    value_names: Mapping[type, str] = field(default_factory=dict)
    """Where a field of an operation has one of several shapes: what each is called outside."""
    needed: bool = False
    """Whether no network can be without it."""
