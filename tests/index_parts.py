"""The parts of the query index, for networks whose months are those of UTC."""

from __future__ import annotations

from node.runtime.domains import index_parts
from tests.chain.network import make_genesis

INDEX_PARTS = index_parts(make_genesis(4))
