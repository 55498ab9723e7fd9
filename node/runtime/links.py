"""Makes the links of a node: p2p's network under its router. Owns what they need of the config."""

from __future__ import annotations

from node.following.identity import NodeIdentity
from node.ledger.signing import secret_key
from node.peers.guests import LINKS_MAX
from node.peers.router import Router
from node.runtime.given import Given
from node.system.config import NodeConfig, split_address
from p2p.config import P2PConfig
from p2p.network import PeerNetwork
from p2p.types import KnownPeer, Link, PeerHandler, PeerId

VOTER_BACKOFF_S = 2.0
OBSERVER_BACKOFF_S = 5.0


def build_router(given: Given) -> Router:
    """The router, and the network under it; nothing is opened yet."""
    identity = given.identity
    host, port = split_address(given.config.p2p.listen)
    is_voter = identity.number is not None
    config = P2PConfig(
        network_id=identity.voters.network_id,
        host=host,
        port=port,
        listens=is_voter,
        links=tuple(Link) if is_voter else (Link.GOSSIP,),
        guests_max=LINKS_MAX if is_voter else 0,
        # A voter that does not let an observer in yet is not asked every other second.
        backoff_max_s=VOTER_BACKOFF_S if is_voter else OBSERVER_BACKOFF_S,
    )

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
        if voter is not None and voter.number != identity.number:
            router.network.set_address(PeerId(voter.identity_key), peer.address)
