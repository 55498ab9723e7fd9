"""Settings of the HTTP API: addresses, allow-lists and limits. Owns their checks; reads no file."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1_048_576


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """Everything the API may be told. Defaults suit a node on the loopback interface."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 0
    """0 takes any free port."""
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    """Accepted Host headers, in lower case; without a port any port matches. Anything else is
    answered 421: a page of another name cannot reach the node by rebinding its DNS record."""
    allowed_origins: tuple[str, ...] = ()
    """Accepted Origin headers. A request that carries any other is answered 403."""
    public_url: str | None = None
    """Where strangers reach this node's check page; goes into the QR code of a face."""
    public_read: bool = False
    """Anyone may read the log: checkpoint, tiles and entry bundles, and nothing else."""
    json_bytes_max: int = MIB
    batch_bytes_max: int = 4 * MIB
    """Body of `POST /v1/transactions:batch`: equal to the largest Raft entry."""
    body_timeout_s: float = 10.0
    keepalive_timeout_s: float = 10.0
    """Also the only limit on slow headers in aiohttp."""
    requests_per_second: float = 1_000.0
    """For each token. A benchmark posts 200 batches a second and polls beside it."""
    requests_burst: float = 2_000.0
    public_per_second: float = 50.0
    """For all strangers together (`/v1/verify`). A check is two reads of one row."""
    public_burst: float = 100.0
    log_per_second: float = 100.0
    """For all strangers together who read the log. A monitor that follows reads a few a block."""
    log_burst: float = 500.0
    failures_per_minute: float = 10.0
    """Failed authentications that are answered 401; more are answered 429."""
    wait_s_max: float = 60.0
    waiting_max: int = 2_048
    """Requests of one scope that may wait (`?wait=`, `wait_s`) at once."""
    streams_max: int = 64
    """Event streams of one scope at once."""
    connections_max: int = 512
    """Open connections; beyond that the oldest that asks nothing gives way."""
    heartbeat_s: float = 15.0
    """Comment on an idle event stream."""
    send_timeout_s: float = 10.0
    """A client that does not read what is sent to it for this long is dropped."""

    def __post_init__(self) -> None:
        limits = (
            self.json_bytes_max,
            self.batch_bytes_max,
            self.body_timeout_s,
            self.keepalive_timeout_s,
            self.requests_per_second,
            self.requests_burst,
            self.public_per_second,
            self.public_burst,
            self.log_per_second,
            self.log_burst,
            self.failures_per_minute,
            self.wait_s_max,
            self.waiting_max,
            self.streams_max,
            self.connections_max,
            self.heartbeat_s,
            self.send_timeout_s,
        )
        if min(limits) <= 0:
            raise ValueError("every limit of the API must be positive")
        if not 0 <= self.port <= 65_535:
            raise ValueError("port is out of range")
        if any(host != host.lower() for host in self.allowed_hosts):
            raise ValueError("allowed hosts are written in lower case")
