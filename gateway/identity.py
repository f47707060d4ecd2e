"""Who is asking: one look at the token, one round trip to Redis, then in or out.

Without Redis a valid token is still good (for its 15 minutes at most) with the rights it carries,
and the quotas are counted in this process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Request, Security
from fastapi.security import OAuth2PasswordBearer
from slowapi.util import get_remote_address

from gateway.access_tokens import AccessToken, AccessTokenError
from gateway.core import Gateway, gateway_of
from gateway.limits import Hit, Standing, header_values, refuse_exceeded
from gateway.lookup import look_up
from gateway.problems import ApiError
from gateway.refresh_tokens import denied_family_key, denied_token_key
from gateway.store import StoreUnavailableError
from gateway.users import User, read_fields, user_key
from kubetriage.contracts.identity import InternalClaims


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller."""

    user: User
    token: AccessToken

    def claims(self, request_id: str, session_id: str | None = None) -> InternalClaims:
        """The gateway's word about the caller for one call of the agent."""
        return InternalClaims(
            subject=self.user.username,
            role=self.user.role,
            session_id=session_id,
            request_id=request_id,
            namespaces=self.user.namespaces,
            clusters=self.user.clusters,
        )

    def require(self, *, namespace: str | None, cluster: str | None) -> None:
        """Raises the 403 when the caller named something that is not theirs to read."""
        for what, name, allowed in (
            ("namespace", namespace, self.user.namespaces),
            ("cluster", cluster, self.user.clusters),
        ):
            if name is not None and allowed is not None and name not in allowed:
                raise ApiError(
                    403,
                    f"{what}_forbidden",
                    f"You may not read {what} {name!r}; GET /v1/me lists what you may, an admin changes it.",
                )


async def admit_address(request: Request) -> None:
    """For calls without a token: the quota of the address."""
    gateway = gateway_of(request)
    hits = [Hit(gateway.limits.address, get_remote_address(request))]
    try:
        async with gateway.store.guard(), _pipeline(gateway) as pipe:
            gateway.limits.queue(pipe, hits)
            standings = gateway.limits.read(hits, await pipe.execute())
    except StoreUnavailableError:
        standings = await gateway.limits.hit_locally(hits)
    _publish(request, standings)
    refuse_exceeded(standings)


async def _admit(request: Request, *, costly: bool) -> Caller:
    gateway = gateway_of(request)
    try:
        token = gateway.access.verify(_bearer(request))
    except AccessTokenError as error:
        gateway.metrics.auth_failures.labels("token").inc()
        await admit_address(request)
        raise invalid_token() from error
    except ApiError:
        gateway.metrics.auth_failures.labels("no_token").inc()
        await admit_address(request)
        raise
    name = token.user.username
    hits = [Hit(gateway.limits.address, get_remote_address(request)), Hit(gateway.limits.user, name)]
    if costly:
        hits.append(Hit(gateway.limits.ask, name))
    try:
        denied, user, standings = await _look_up(gateway, token, hits)
    except StoreUnavailableError:
        denied, user, standings = False, token.user, await gateway.limits.hit_locally(hits)
    _publish(request, standings)
    refuse_exceeded(standings)
    if denied or user is None or user.disabled or user.epoch != token.user.epoch:
        gateway.metrics.auth_failures.labels("revoked").inc()
        raise invalid_token()
    request.state.user = name
    return Caller(user, token)


async def _look_up(
    gateway: Gateway, token: AccessToken, hits: list[Hit]
) -> tuple[bool, User | None, tuple[Standing, ...]]:
    name = token.user.username
    marks = (denied_token_key(token.jti), denied_family_key(token.family))
    async with gateway.store.guard():
        found = await look_up(gateway.redis, user=user_key(name), marks=marks, hits=hits)
    return found.denied, read_fields(name, found.fields), gateway.limits.read(hits, found.counts)


def _pipeline(gateway: Gateway) -> Any:
    # No MULTI: nothing here depends on the rest, and a Redis Cluster could not do it.
    return gateway.redis.pipeline(transaction=False)


def _publish(request: Request, standings: tuple[Standing, ...]) -> None:
    request.state.rate_limit = header_values(standings)


def _bearer(request: Request) -> str:
    values = request.headers.getlist("authorization")
    if not values:
        # RFC 6750 section 3.1: no error code when there were no credentials.
        raise ApiError(
            401,
            "token_missing",
            "Log in with POST /v1/auth/token and send the access token as `Authorization: Bearer ...`.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise AccessTokenError("not one bearer token")
    return token.strip()


def invalid_token() -> ApiError:
    """The one 401 of every token that is not good, whatever the reason."""
    return ApiError(
        401,
        "token_invalid",
        "The access token is not valid or not valid any more: refresh it or log in again.",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


class _Authenticated(OAuth2PasswordBearer):
    """The scheme of the OpenAPI document and the check in one: a dependency of a dependency costs every request."""

    def __init__(self, *, costly: bool) -> None:
        super().__init__(
            tokenUrl="/v1/auth/token",
            refreshUrl="/v1/auth/refresh",
            scheme_name=OAuth2PasswordBearer.__name__,
            description="Access token from `POST /v1/auth/token`.",
        )
        self._costly = costly

    async def __call__(self, request: Request) -> Caller:  # type: ignore[override]
        return await _admit(request, costly=self._costly)


AnyCaller = Annotated[Caller, Security(_Authenticated(costly=False))]
CostlyCaller = Annotated[Caller, Security(_Authenticated(costly=True))]
