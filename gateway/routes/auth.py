"""Login, refresh, logout, and who am I."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Request, Response
from pydantic import StringConstraints
from slowapi.util import get_remote_address

from gateway.access_tokens import scope_of
from gateway.core import Gateway, gateway_of
from gateway.identity import AnyCaller, admit_address
from gateway.openapi import AUTHENTICATED, WITH_BODY, errors
from gateway.problems import ApiError
from gateway.refresh_tokens import RefreshTokenError, Rotated
from gateway.users import MAXIMUM_PASSWORD, User, UserError
from kubetriage.contracts.api import Me, TokenPair

router = APIRouter(tags=["auth"])

Username = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Password = Annotated[str, StringConstraints(min_length=1, max_length=MAXIMUM_PASSWORD)]


def _invalid_grant(detail: str) -> ApiError:
    # ``error`` is RFC 6749's own member (section 5.2), for OAuth2 clients.
    return ApiError(400, "invalid_grant", detail, error="invalid_grant")


def _pair(gateway: Gateway, user: User, refresh: Rotated) -> TokenPair:
    return TokenPair(
        access_token=gateway.access.issue(user, family=refresh.family),
        refresh_token=refresh.token,
        expires_in=gateway.settings.access_token_seconds,
        scope=scope_of(user.role),
    )


@router.post(
    "/v1/auth/token",
    summary="Log in",
    description="OAuth2 password form. Failures are throttled per account and per address.",
    dependencies=[Depends(admit_address)],
    responses=errors(*WITH_BODY, 429, 503),
)
async def log_in(
    request: Request,
    username: Annotated[Username, Form(examples=["ada"])],
    password: Annotated[Password, Form(json_schema_extra={"format": "password"})],
    grant_type: Annotated[Literal["password"], Form()] = "password",
    scope: Annotated[str, Form(max_length=200)] = "",
) -> TokenPair:
    del grant_type, scope  # the role decides the scope
    gateway = gateway_of(request)
    account, address = username.strip().lower(), get_remote_address(request)
    async with gateway.store.guard():
        await gateway.throttle.count_attempt(account, address)
        user = await gateway.users.authenticate(username, password)
        if user is None:
            gateway.metrics.auth_failures.labels("password").inc()
            raise _invalid_grant("User name or password is wrong, or the user is disabled.")
        await gateway.throttle.clear(account, address)
        refresh = await gateway.refresh.begin(user.username, user.epoch)
    return _pair(gateway, user, refresh)


@router.post(
    "/v1/auth/refresh",
    summary="Exchange a refresh token",
    description="Each refresh token works once. A second use ends every token of that login.",
    dependencies=[Depends(admit_address)],
    responses=errors(*WITH_BODY, 429, 503),
)
async def refresh_tokens(
    request: Request,
    refresh_token: Annotated[str, Form(min_length=1, max_length=200)],
    grant_type: Annotated[Literal["refresh_token"], Form()] = "refresh_token",
) -> TokenPair:
    del grant_type
    gateway = gateway_of(request)
    try:
        async with gateway.store.guard():
            user, successor = await _rotate(gateway, refresh_token)
    except (RefreshTokenError, UserError) as error:
        reused = isinstance(error, RefreshTokenError) and error.reused
        gateway.metrics.auth_failures.labels("refresh_reused" if reused else "refresh").inc()
        raise _invalid_grant("The refresh token is not valid any more: log in again.") from error
    return _pair(gateway, user, successor)


async def _rotate(gateway: Gateway, token: str) -> tuple[User, Rotated]:
    successor = await gateway.refresh.rotate(token)
    user = await gateway.users.get(successor.username)
    if user.disabled or user.epoch != successor.epoch:
        await gateway.refresh.revoke(successor.family)
        raise RefreshTokenError
    return user, successor


@router.post(
    "/v1/auth/logout",
    summary="Log out",
    description="Ends this login at once: its access tokens and its refresh token.",
    status_code=204,
    responses=errors(*AUTHENTICATED, 503),
)
async def log_out(request: Request, caller: AnyCaller) -> Response:
    gateway = gateway_of(request)
    async with gateway.store.guard():
        await gateway.refresh.revoke(caller.token.family)
    return Response(status_code=204)


@router.get("/v1/me", summary="Who am I, and what may I read", responses=errors(*AUTHENTICATED))
async def me(caller: AnyCaller) -> Me:
    user = caller.user
    return Me(username=user.username, role=user.role.value, namespaces=user.namespaces, clusters=user.clusters)
