"""Access tokens after RFC 9068, checked after RFC 8725 before python-jose sees them."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from jose import jwt

from gateway.signing_keys import KeySet, SigningKey
from gateway.users import User
from kubetriage.contracts.identity import Role

TYPE = "at+jwt"
MAXIMUM_LENGTH = 8192  # characters of a token
MAXIMUM_LIFETIME_SECONDS = 900  # the denylist forgets what is older
_MAXIMUM_HEADER = 1024  # characters of its encoded header
_LEEWAY_SECONDS = 60  # RFC 8725: clocks of two hosts, no more
_HEADER_NAMES = frozenset({"typ", "alg", "kid"})
_REMEMBERED = 1024  # tokens of one process that were verified; about 1 KiB each

_SCOPES = {Role.VIEWER: "read", Role.OPERATOR: "read act", Role.ADMIN: "read act admin"}
_REQUIRED = {f"require_{name}": True for name in ("exp", "nbf", "iat", "iss", "aud", "sub", "jti")}


class AccessTokenError(Exception):
    """The token is not one of ours, or not any more. All reasons look alike from outside."""

    code = "token_invalid"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a valid token says. ``family`` ties it to its refresh tokens; ``expires_at`` is Unix time."""

    user: User
    jti: str
    family: str
    expires_at: int


def scope_of(role: Role) -> str:
    """OAuth2 scopes of a role, separated by spaces."""
    return _SCOPES[role]


class AccessTokens:
    """Issues and verifies; nothing here asks a store."""

    def __init__(self, keys: KeySet, *, issuer: str, audience: str, lifetime_seconds: int) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._lifetime = lifetime_seconds
        # By the hash of the whole token, oldest first. A signature stays good; the expiry is looked at each time,
        # and whether the token was revoked is the store's word at every request.
        self._verified: dict[bytes, AccessToken] = {}

    def issue(self, user: User, *, family: str) -> str:
        """A signed token for ``user``; ``family`` is the id of its refresh tokens."""
        now = int(time.time())
        key = self._keys.signing
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": user.username,
            "client_id": "kubetriage",
            "iat": now,
            "nbf": now,
            "exp": now + self._lifetime,
            "jti": secrets.token_urlsafe(16),
            "scope": scope_of(user.role),
            # For the time when the store cannot be asked; otherwise the store's word counts.
            "role": user.role.value,
            "namespaces": user.namespaces,
            "clusters": user.clusters,
            "epoch": user.epoch,
            "family": family,
        }
        token: str = jwt.encode(claims, key.private, algorithm=key.algorithm, headers={"typ": TYPE, "kid": key.kid})
        return token

    def verify(self, token: str) -> AccessToken:
        """Raises AccessTokenError for anything that is not a valid token of ours."""
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        known = self._verified.get(digest)
        if known is not None and known.expires_at >= int(time.time()) - _LEEWAY_SECONDS:
            return known
        found = self._verify(token)
        if len(self._verified) >= _REMEMBERED:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = found
        return found

    def _verify(self, token: str) -> AccessToken:
        key = self._key_of(token)
        try:
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={**_REQUIRED, "leeway": _LEEWAY_SECONDS},
            )
            return _read_claims(claims)
        # jose raises more than JWTError (RecursionError, OverflowError, TypeError among others).
        except Exception as error:
            raise AccessTokenError("the access token is not valid") from error

    def _key_of(self, token: str) -> SigningKey:
        if len(token) > MAXIMUM_LENGTH or token.count(".") != 2:
            raise AccessTokenError("the access token is not valid")
        header = _read_header(token.split(".", 1)[0])
        # No crit, jku, x5u, x5c, jwk or anything else that would let a token choose its own key.
        if header.keys() - _HEADER_NAMES or str(header.get("typ", "")).lower() != TYPE:
            raise AccessTokenError("the access token is not valid")
        key = self._keys.get(header.get("kid"))
        if key is None or header.get("alg") != key.algorithm:
            raise AccessTokenError("the access token is not valid")
        return key


def _read_header(encoded: str) -> dict[str, Any]:
    if len(encoded) > _MAXIMUM_HEADER:
        raise AccessTokenError("the access token is not valid")
    try:
        header = json.loads(base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise AccessTokenError("the access token is not valid") from error
    if not isinstance(header, dict):
        raise AccessTokenError("the access token is not valid")
    return header


def _read_claims(claims: dict[str, Any]) -> AccessToken:
    expires, issued = claims["exp"], claims["iat"]
    if not isinstance(expires, int) or not isinstance(issued, int):
        raise TypeError("not whole seconds")
    if issued > time.time() + _LEEWAY_SECONDS or not 0 < expires - issued <= MAXIMUM_LIFETIME_SECONDS:
        raise ValueError("not a lifetime of ours")
    user = User(
        username=_string(claims["sub"]),
        role=Role(claims["role"]),
        namespaces=_names(claims["namespaces"]),
        clusters=_names(claims["clusters"]),
        disabled=False,
        epoch=int(claims["epoch"]),
    )
    return AccessToken(user, _string(claims["jti"]), _string(claims["family"]), expires)


def _string(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("not a string")
    return value


def _names(value: Any) -> tuple[str, ...] | None:
    return None if value is None else tuple(_string(name) for name in value)
