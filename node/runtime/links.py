"""Makes the links of a node: p2p's network under its router. Owns what they need of the config."""

from __future__ import annotations

from node.following.identity import NodeIdentity
from node.ledger.signing import secret_key
from node.peers.router import Router
from node.runtime.given import Given
from node.system.config import NodeConfig, split_address
from p2p.config import P2PConfig
from p2p.network import PeerNetwork
from p2p.types import KnownPeer, PeerHandler, PeerId


def build_router(given: Given) -> Router:
    """The router, and the network under it; nothing is opened yet."""
    identity = given.identity
    host, port = split_address(given.config.p2p.listen)
    config = P2PConfig(network_id=identity.voters.network_id, host=host, port=port)

    def connect(handler: PeerHandler) -> PeerNetwork:
        key = secret_key(given.keys.identity)
        return PeerNetwork(config, key, _known_peers(given), handler, given.rng)

    return Router(identity.voters, identity.number, given.clock, connect)


def _known_peers(given: Given) -> list[KnownPeer]:
    identity = given.identity
    addresses = {peer.node: peer.address for peer in given.config.p2p.peers}
    return [
        KnownPeer(PeerId(voter.identity_key), voter.node, addresses.get(voter.node))
        for voter in identity.voters.voters
        if voter.number != identity.number
    ]


def follow_addresses(
    router: Router, identity: NodeIdentity, before: NodeConfig, now: NodeConfig
) -> None:
    """Dial peers where a changed configuration says that they are."""
    for peer in set(now.p2p.peers) - set(before.p2p.peers):
        voter = identity.voters.by_node.get(peer.node)
        if voter is not None and voter != identity.me:
            router.network.set_address(PeerId(voter.identity_key), peer.address)
