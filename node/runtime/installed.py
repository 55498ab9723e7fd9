"""The domains of one node, put together. Owns which of them shows the details of what."""

from __future__ import annotations

from collections.abc import Sequence

from node.chain.disclosure import Disclosure
from node.domains.description import Domain, NodeParts, Serving
from node.following.outcomes import NotDisclosableError
from node.ledger.transaction import TransactionBody
from node.services.final_blocks import FinalBlocks, FinalListener
from node.services.ledger_service import Discloser
from node.services.submitter import Companions, Submitter


class _Disclosers:
    """Of several domains: the first that can, does. Implements `Discloser`."""

    def __init__(self, parts: Sequence[Discloser]) -> None:
        self._parts = parts

    async def disclose(
        self, body: TransactionBody, height: int, paths: Sequence[str], operation: int | None
    ) -> Sequence[Disclosure]:
        """Disclosures of these items.

        Raises:
            NotDisclosableError: by the last that was asked.
        """
        refused = NotDisclosableError("no domain of this network seals details")
        for part in self._parts:
            try:
                return await part.disclose(body, height, paths, operation)
            except NotDisclosableError as error:
                refused = error
        raise refused


class InstalledDomains:
    """What the domains of a network add to one node."""

    def __init__(self, domains: Sequence[Domain], node: NodeParts) -> None:
        self._node = node
        self._files = frozenset(name for domain in domains for name in domain.position_files)
        self._installed = [domain.install(node) for domain in domains]
        self.companions: tuple[Companions, ...] = tuple(
            companion for each in self._installed for companion in each.companions
        )
        self.discloser: Discloser = _Disclosers(
            [each.discloser for each in self._installed if each.discloser is not None]
        )

    def serve(self, submitter: Submitter) -> Serving:
        """What they serve and follow, now that the node can write."""
        serving = [each.serve(submitter) for each in self._installed]
        services: dict[str, object] = {}
        for each in serving:
            assert not services.keys() & each.services.keys(), "services of two domains"
            services |= each.services
        final = tuple(listener for each in serving for listener in each.final)
        files = [listener.position_file for listener in final]
        assert len(set(files)) == len(files), "two listeners with one file"
        assert self._files.issuperset(files), "a listener whose file its domain does not name"
        loops = [loop for each in serving for loop in each.loops]
        loops += [self._follow(listener).run for listener in final]
        return Serving(services=services, final=final, loops=tuple(loops))

    def _follow(self, listener: FinalListener) -> FinalBlocks:
        node = self._node
        return FinalBlocks(listener, node.reader, node.tracker, node.data_dir)
