"""What one running gateway consists of; routes reach it through ``gateway_of(request)``."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from fastapi import Request
from redis.asyncio import Redis

from gateway.access_tokens import AccessTokens
from gateway.audit.log import AuditLog
from gateway.batches.store import BatchStore
from gateway.incidents.store import IncidentStore
from gateway.limits import Limits
from gateway.login_throttle import LoginThrottle
from gateway.metrics import Metrics
from gateway.refresh_tokens import RefreshTokens
from gateway.sessions import Sessions
from gateway.settings import Settings
from gateway.signing_keys import KeySet
from gateway.store import Breaker
from gateway.store_state import StoreState
from gateway.upstream import Agent
from gateway.users import Users


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts. ``store`` guards every use of ``redis``."""

    settings: Settings
    metrics: Metrics
    redis: Redis
    store: Breaker
    store_state: StoreState
    keys: KeySet
    access: AccessTokens
    refresh: RefreshTokens
    users: Users
    limits: Limits
    throttle: LoginThrottle
    sessions: Sessions
    agent: Agent
    incidents: IncidentStore
    audit: AuditLog
    batches: BatchStore
    lifecycle: Lifecycle


@dataclass(slots=True)
class Lifecycle:
    """``draining``: readiness says no. ``stop_streams``: time is up, open streams end in order."""

    draining: bool = False
    stop_streams: asyncio.Event = field(default_factory=asyncio.Event)


def gateway_of(request: Request) -> Gateway:
    """The gateway that serves this request."""
    gateway: Gateway = request.app.state.gateway
    return gateway
