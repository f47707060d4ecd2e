"""The way to Redis: one server, a master that Sentinels watch, or a Cluster; by the URL's scheme.

- ``redis://``, ``rediss://`` (TLS), ``unix://``: one server, as redis-py reads them;
- ``redis+sentinel://[user:password@]host[:26379][,host...]/service[/db]``: the Sentinels' addresses and the name
  under which they watch the master. ``?sentinel_password=`` when they have one of their own;
- ``redis+cluster://[user:password@]host[:6379][,host...]``: some of the Cluster's nodes.

``rediss+...`` for TLS. What else redis-py takes in a URL (``ssl_ca_certs``, ``ssl_certfile`` ...) goes for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import AfterValidator, SecretStr
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError

from kubetriage.redis_timing import Observe, TimedCluster, TimedRedis, unobserved

_CONNECTIONS = 64  # of one process; with one server the rest queue for at most one timeout
_PORTS = {"sentinel": 26379, "cluster": 6379}
_FORMS = {
    "sentinel": "such a Redis URL reads redis+sentinel://[user:password@]host[:port][,host...]/NAME-OF-THE-MASTER[/db]",
    "cluster": "such a Redis URL reads redis+cluster://[user:password@]host[:port][,host...]",
}
# What a call can end with. A Cluster's client has a family of its own for "no node answers".
REDIS_ERRORS = (RedisError, RedisClusterException)


class RedisUrlError(ValueError):
    """The URL is none of the forms above. Its message never holds the URL, which may hold a password."""


def _connectable(url: SecretStr) -> SecretStr:
    connect_redis(url.get_secret_value())
    return url


RedisUrl = Annotated[SecretStr, AfterValidator(_connectable)]  # a setting


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    """``options``: what redis-py's connections take."""

    hosts: tuple[tuple[str, int], ...]
    options: dict[str, Any]
    service: str = ""
    sentinel_password: str | None = None


def connect_redis(
    url: str, *, timeout_seconds: float = 2.0, decode: bool = False, observe: Observe = unobserved
) -> Redis:
    """A client whose every call ends within about ``timeout_seconds``; answers are text with ``decode``, else bytes.

    ``observe`` gets the time of each round trip. Nothing is connected yet. Raises RedisUrlError. A Cluster's client
    takes the same calls, as long as the keys of a transaction or a script are of one slot.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "decode_responses": decode,
        # Once, at once: a connection that its server left without a word is only noticed when it is used. redis-py 8
        # retries ten times by default, which turns half a second into half a minute.
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    }
    _, _, kind = urlsplit(url).scheme.partition("+")
    if not kind:
        try:
            pool = BlockingConnectionPool.from_url(
                url, max_connections=_CONNECTIONS, timeout=timeout_seconds, **options
            )
        except ValueError as error:
            raise RedisUrlError("a Redis URL begins with redis://, rediss:// or unix://") from error
        return _observed(TimedRedis.from_pool(pool), observe)
    address = _parse(url, kind)
    options = address.options | options
    if kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        return _observed(TimedCluster(startup_nodes=nodes, **options), observe)
    sentinels: Any = Sentinel(  # type: ignore[no-untyped-call]
        list(address.hosts),
        sentinel_kwargs={
            **{name: value for name, value in options.items() if name not in {"db", "username", "password"}},
            "password": address.sentinel_password,
        },
        **options,
    )
    master = sentinels.master_for(
        address.service,
        redis_class=TimedRedis,
        connection_pool_class=_MasterPool,
        max_connections=_CONNECTIONS,
    )
    return _observed(master, observe)


class _MasterPool(SentinelConnectionPool):
    """Closes its connections to the Sentinels, too, which redis-py leaves open."""

    async def aclose(self) -> None:
        await super().aclose()
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()


def _observed(client: Any, observe: Observe) -> Redis:
    """A Cluster's client has no base class in common with the others, but the calls."""
    client.observe = observe
    return cast("Redis", client)


def _parse(url: str, kind: str) -> _Address:
    if kind not in _FORMS:
        raise RedisUrlError("a Redis URL's scheme ends with +sentinel or +cluster, or has no plus")
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    path = [part for part in parts.path.split("/") if part]
    query = dict(parse_qsl(parts.query))
    sentinel_password = query.pop("sentinel_password", None)
    service = path.pop(0) if kind == "sentinel" and path else ""
    if kind == "sentinel" and not service:
        raise RedisUrlError(_FORMS[kind])
    plain = f"{parts.scheme.partition('+')[0]}://{user}@host/{'/'.join(path)}?{urlencode(query)}"
    try:
        options: dict[str, Any] = dict(parse_url(plain))
        found = tuple(_host(one, _PORTS[kind]) for one in hosts.split(","))
    except ValueError as error:
        raise RedisUrlError(_FORMS[kind]) from error
    tls = options.pop("connection_class", None) is SSLConnection
    del options["host"]
    return _Address(
        hosts=found,
        options=options | ({"ssl": True} if tls else {}),
        service=service,
        sentinel_password=sentinel_password,
    )


def _host(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("a host is missing")
    return parts.hostname, parts.port or port
