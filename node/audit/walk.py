"""Doing the whole ledger again, block by block, from the genesis. Owns the comparison with it.

Every block is made anew by the node's own rules over a state of this walk's own. Nothing stored is
believed but the leaves, and those must hash to the stored tiles and the certified roots. Knows no
table of the state and no operation.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence

import msgspec

from node.audit.blobs import check_blobs
from node.audit.faults import AuditError, fail, first_difference
from node.audit.folder import LEDGER
from node.audit.leaf_faults import LeafFaults
from node.audit.signatures import FalseClaim, SignatureChecker
from node.audit.state import WalkedState
from node.chain.certificate import CertificateError, parse_certificate
from node.chain.leaf import MalformedLeafError, SealLeaf, TransactionLeaf, decode_leaf
from node.chain.merkle import HASH_BYTES, Frontier, leaf_hashes
from node.chain.tiles import TILE_BYTES, TILE_WIDTH, Tile, TileBuilder
from node.chain.voters import VoterSet
from node.ledger.codes import Code
from node.ledger.digest import StateDigest
from node.ledger.execution.execute import CheckedTransaction, RowChange, named_blobs
from node.ledger.genesis import Genesis
from node.ledger.genesis_state import genesis_rows
from node.ledger.operations import ByKey
from node.ledger.transaction import MalformedTransactionError, decode_leaf_transaction
from node.storage.block_builder import BlockBuilder
from node.storage.ledger_rows import Head, read_tile

_BLOCKS = (
    "SELECT b.height, b.first_index, b.leaves, c.note FROM blocks b"
    " LEFT JOIN certificates c ON c.height = b.height ORDER BY b.height"
)

StoredLeaf = TransactionLeaf | SealLeaf


class Walked(msgspec.Struct):
    """What the walk came to. `state` is open until the caller closes it."""

    head: Head
    """After the last block, but for the Raft index, which no leaf tells."""
    state: WalkedState
    final_height: int
    transactions: int
    operations: int
    blobs: int = 0
    """Sealed blobs that are stored."""
    erased_blobs: int = 0
    """Sealed blobs that are named and not stored."""


class Walk:
    """One pass over the blocks."""

    def __init__(
        self,
        ledger: sqlite3.Connection,
        genesis: Genesis,
        voters: VoterSet,
        signatures: SignatureChecker,
        from_height: int,
        progress: Callable[[int], None],
    ) -> None:
        """Prepare.

        Args:
            ledger: The stored ledger, at one committed state.
            genesis: The network's.
            voters: Its voters.
            signatures: Gets every signature from `from_height` on.
            from_height: Below it signatures and certificates are taken for verified.
            progress: Told the number of leaves that are done.
        """
        self._ledger = ledger
        self._voters = voters
        self._faults = LeafFaults(ledger, voters)
        self._signatures = signatures
        self._from_height = from_height
        self._progress = progress
        self._builder = BlockBuilder(genesis, voters.hash)
        self._tiles = TileBuilder()
        self._partial: dict[int, Tile] = {}
        self._full_tiles = 0
        rows = genesis_rows(genesis)
        digest = StateDigest().apply([RowChange(t, k, None, v) for t, k, v in rows])
        head = Head(
            height=0,
            time_ms=0,
            raft_index=0,
            frontier=Frontier().encode(),
            accumulator=digest.accumulator,
            rows=digest.rows,
        )
        self.walked = Walked(
            head=head, state=WalkedState(rows), final_height=0, transactions=0, operations=0
        )

    def run(self) -> Walked:
        """Do all blocks again.

        Raises:
            AuditError: with the fault at the lowest place.
        """
        try:
            for block in self._blocks():
                self._block(*block)
                if self._signatures.failure is not None:
                    break
            self._check_tiles_left()
        except AuditError as error:
            self._raise_earlier(error)
            raise
        self._raise_earlier(None)
        return self.walked

    def close(self) -> None:
        """Let go of the state."""
        self.walked.state.close()

    def _blocks(self) -> Iterator[tuple[int, int, bytes, bytes | None]]:
        try:
            yield from self._ledger.execute(_BLOCKS)
        except sqlite3.DatabaseError as error:
            raise fail(f"SQLite cannot read it: {error}", LEDGER, table="blocks") from error

    # --- One block -----------------------------------------------------------------------------

    def _block(self, height: int, first_index: int, encoded: bytes, note: bytes | None) -> None:
        head = self.walked.head
        if height != head.height + 1:
            raise fail(
                f"height {head.height + 1} is missing",
                LEDGER,
                table="blocks",
                row=f"height={height}",
                column="height",
                height=head.height + 1,
            )
        if first_index != head.tree_size:
            raise fail(
                f"its first leaf is {head.tree_size}, not {first_index}",
                LEDGER,
                table="blocks",
                row=f"height={height}",
                column="first_index",
                height=height,
            )
        data, leaves = self._decode(height, first_index, encoded)
        seal = leaves.pop()
        assert isinstance(seal, SealLeaf), "decoded so"
        last = first_index + len(leaves)
        if seal.time_ms < head.time_ms or seal.proposer >= self._voters.n:
            raise self._faults.leaf_fault(
                height, last, data[-1], "its time or its proposer cannot be"
            )
        checked = self._check(height, first_index, data, leaves)
        try:
            made = self._builder.build(self._read, head, seal.time_ms, checked, seal.origin)
        except Exception as error:
            reason = f"cannot be done again: {type(error).__name__}: {error}"
            raise self._faults.leaf_fault(height, last, data[-1], reason) from error
        if made.leaves != data:
            raise self._faults.other_leaf(height, first_index, data, made.leaves, made.skipped)
        self.walked.state.apply(made.changes)
        self._check_blobs(height, checked, leaves)
        self._grow(height, data)
        frontier = self._tiles.frontier
        self.walked.head = Head(
            height=height,
            time_ms=seal.time_ms,
            raft_index=0,
            frontier=frontier.encode(),
            accumulator=made.digest.accumulator,
            rows=made.digest.rows,
        )
        if note is not None:
            self._check_certificate(height, frontier, note)
        self._progress(frontier.size)

    def _decode(
        self, height: int, first_index: int, encoded: bytes
    ) -> tuple[list[bytes], list[StoredLeaf]]:
        """Leaf bytes and leaves; the last, and only the last, is a seal of this height."""
        try:
            data = msgspec.msgpack.decode(encoded, type=list[bytes])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise self._faults.framing_fault(height, first_index, encoded, str(error)) from error
        if not data or msgspec.msgpack.encode(data) != encoded:
            raise self._faults.framing_fault(height, first_index, encoded, "is not canonical")
        leaves: list[StoredLeaf] = []
        for position, leaf_bytes in enumerate(data):
            index = first_index + position
            try:
                leaf = decode_leaf(leaf_bytes)
            except MalformedLeafError as error:
                raise self._faults.leaf_fault(height, index, leaf_bytes, str(error)) from error
            if leaf.height != height or isinstance(leaf, SealLeaf) != (position == len(data) - 1):
                reason = "is of another height, or a seal in the wrong place"
                raise self._faults.leaf_fault(height, index, leaf_bytes, reason)
            leaves.append(leaf)
        return data, leaves

    def _check(
        self, height: int, first_index: int, data: Sequence[bytes], leaves: Sequence[StoredLeaf]
    ) -> list[CheckedTransaction]:
        """The transactions of the leaves; their signatures are handed to the checker."""
        checked = []
        verified = height >= self._from_height
        for position, leaf in enumerate(leaves):
            assert isinstance(leaf, TransactionLeaf), "only the last leaf is a seal"
            index = first_index + position
            try:
                transaction = decode_leaf_transaction(leaf.body, leaf.signature)
            except MalformedTransactionError as error:
                raise self._faults.leaf_fault(height, index, data[position], str(error)) from error
            if verified:
                key, signed = transaction.body.key, transaction.signed_bytes
                self._signatures.add(index, key, signed, leaf.signature)
            checked.append(CheckedTransaction(transaction, True, certified=True))
            operations = transaction.body.operations
            self.walked.operations += len(operations)
            # The rules verify those of bare keys themselves, in this process.
            self._signatures.count += sum(isinstance(op, ByKey) for op in operations)
        self.walked.transactions += len(checked)
        return checked

    def _read(self, *_: object) -> WalkedState:
        return self.walked.state

    def _check_blobs(
        self, height: int, checked: Sequence[CheckedTransaction], leaves: Sequence[StoredLeaf]
    ) -> None:
        named = {
            blob_hash
            for item, leaf in zip(checked, leaves, strict=True)
            if isinstance(leaf, TransactionLeaf) and leaf.code == Code.OK
            for blob_hash in named_blobs(item.transaction.body)
        }
        held = check_blobs(self._ledger, height, named) if named else 0
        self.walked.blobs += held
        self.walked.erased_blobs += len(named) - held

    def _check_certificate(self, height: int, frontier: Frontier, note: bytes) -> None:
        place: dict[str, str | int] = {"row": f"height={height}", "height": height}
        try:
            certificate = parse_certificate(note.decode())
        except (CertificateError, UnicodeDecodeError) as error:
            raise self._faults.note_fault(f"certificate: {error}", frontier, note, place) from error
        tree = certificate.checkpoint
        if (tree.size, tree.root) != (frontier.size, frontier.root()):
            raise self._faults.note_fault("certifies another tree", frontier, note, place)
        if certificate.origin_signature is None:
            raise self._faults.note_fault("certificate was never published", frontier, note, place)
        if height >= self._from_height:
            count = len(certificate.cosignatures) + 1
            self._signatures.add_certificate(frontier.size - 1, note.decode(), count)
        self.walked.final_height = height

    # --- The tree ------------------------------------------------------------------------------

    def _grow(self, height: int, data: Sequence[bytes]) -> None:
        for tile in self._tiles.append(leaf_hashes(data)):
            if len(tile.data) < TILE_BYTES:
                self._partial[tile.level] = tile
                continue
            self._partial.pop(tile.level, None)
            self._full_tiles += 1
            self._compare_tile(height, tile)

    def _compare_tile(self, height: int, tile: Tile) -> None:
        stored = read_tile(self._ledger, tile.level, tile.number)
        if stored == tile.data:
            return
        place = {"table": "tiles", "row": f"level={tile.level} number={tile.number}"}
        if stored is None:
            raise fail("a tile is missing", LEDGER, **place, height=height)
        offset, bit = first_difference(stored, tile.data)
        leaf = None
        if tile.level == 0:
            leaf = tile.number * TILE_WIDTH + offset // HASH_BYTES
        raise fail(
            "the stored hash is not that of the leaves" + ("" if leaf is None else f" ({leaf})"),
            LEDGER,
            **place,
            column="hashes",
            height=self._height_of(leaf) if leaf is not None else height,
            offset=offset,
            bit=bit,
        )

    def _check_tiles_left(self) -> None:
        head = self.walked.head
        for tile in self._partial.values():
            self._compare_tile(head.height, tile)
        (stored,) = self._ledger.execute("SELECT count(*) FROM tiles").fetchone()
        if stored != self._full_tiles + len(self._partial):
            raise fail(
                "tiles beyond the tree", LEDGER, table="tiles", column="number", height=head.height
            )

    # --- Telling what is wrong -------------------------------------------------------------------

    def _raise_earlier(self, error: AuditError | None) -> None:
        """Raise what a signature tells, if it is not above the fault that was found."""
        false = self._signatures.finish()
        if false is None:
            return
        height = self._height_of(false.place)
        if error is None or error.fault.height is None or height <= error.fault.height:
            raise self._false_claim(height, false)

    def _false_claim(self, height: int, false: FalseClaim) -> AuditError:
        first_index, encoded, note = self._ledger.execute(
            "SELECT b.first_index, b.leaves, c.note FROM blocks b"
            " LEFT JOIN certificates c ON c.height = b.height WHERE b.height = ?",
            (height,),
        ).fetchone()
        if false.reason.startswith("certificate"):
            place: dict[str, str | int] = {"row": f"height={height}", "height": height}
            tree = None if height != self.walked.head.height else self._tiles.frontier
            return self._faults.note_fault(false.reason, tree, note, place)
        data = msgspec.msgpack.decode(encoded, type=list[bytes])[false.place - first_index]
        return self._faults.leaf_fault(height, false.place, data, false.reason)

    def _height_of(self, index: int) -> int:
        (height,) = self._ledger.execute(
            "SELECT max(height) FROM blocks WHERE first_index <= ?", (index,)
        ).fetchone()
        return int(height or 0)
