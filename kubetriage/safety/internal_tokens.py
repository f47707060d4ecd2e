"""The gateway's signed word about a caller, valid for one request to a service behind it.

HS256 with one shared key of at least 32 characters; verification takes several keys so that a key
can be replaced without an outage (verify old and new, sign new, then drop old).
"""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson
from jose import jwk, jwt
from pydantic import ValidationError

from kubetriage.contracts.identity import InternalClaims

ISSUER = "kubetriage-gateway"
AUDIENCE = "kubetriage-internal"
ALGORITHM = "HS256"
MINIMUM_KEY_LENGTH = 32  # characters; RFC 7518 section 3.2 wants a key no shorter than the hash
LIFETIME_SECONDS = 60  # a token is checked once, on arrival: long streams do not need a longer one
LEEWAY_SECONDS = 10  # clocks of two hosts
MAXIMUM_TOKEN_LENGTH = 16_384  # characters; before anything is decoded

# python-jose accepts tokens without these unless told otherwise.
_OPTIONS = {
    "require_exp": True,
    "require_iat": True,
    "require_aud": True,
    "require_iss": True,
    "require_sub": True,
    "require_jti": True,
    "leeway": LEEWAY_SECONDS,
}


class InternalTokenError(Exception):
    """The token is missing, forged, expired or not meant for us. The message never quotes it."""

    def __init__(self, message: str, *, code: str = "internal_token_invalid") -> None:
        super().__init__(message)
        self.code = code


def _encoded(part: bytes) -> bytes:
    # RFC 7515 section 2: base64url without its padding.
    return urlsafe_b64encode(part).rstrip(b"=")


_HEADER = _encoded(orjson.dumps({"alg": ALGORITHM, "typ": "JWT"}))


def _long_enough(key: str) -> str:
    if len(key) < MINIMUM_KEY_LENGTH:
        raise InternalTokenError(
            f"the internal key has {len(key)} characters, it needs at least {MINIMUM_KEY_LENGTH}",
            code="internal_key_too_short",
        )
    return key


@lru_cache(maxsize=16)
def _prepared_key(key: str) -> Any:
    # Prebuilt once: building a key costs more than using it.
    return jwk.construct(_long_enough(key), ALGORITHM)


def sign_internal(claims: InternalClaims, key: str) -> str:
    """A token that carries ``claims`` for at most 60 seconds.

    Raises InternalTokenError (code ``internal_key_too_short``) when ``key`` is too short.
    """
    now = int(time.time())
    body: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": claims.subject,
        "iat": now,
        "exp": now + min(claims.expires_in, LIFETIME_SECONDS),
        "jti": secrets.token_urlsafe(12),
        "role": claims.role.value,
        "request_id": claims.request_id,
        "session_id": claims.session_id,
        "namespaces": claims.namespaces,
        "clusters": claims.clusters,
    }
    # RFC 7515 section 5.1 in two lines: every request is signed, and python-jose takes four times as long.
    signed = _HEADER + b"." + _encoded(orjson.dumps(body))
    return (signed + b"." + _encoded(hmac.digest(_long_enough(key).encode(), signed, "sha256"))).decode()


def verify_internal(token: str, keys: Sequence[str]) -> InternalClaims:
    """The claims of a valid token; ``expires_in`` holds the seconds that are left of it.

    Any of ``keys`` may have signed it. Raises InternalTokenError for anything wrong with the token
    (code ``internal_token_invalid``) or with a key (code ``internal_key_too_short``).
    """
    if not keys:
        raise InternalTokenError("no internal key is configured")
    prepared = [_prepared_key(key) for key in keys]
    if not isinstance(token, str) or not token or len(token) > MAXIMUM_TOKEN_LENGTH:
        raise InternalTokenError("the internal token is missing or too long")
    for candidate in prepared:
        body = _decoded(token, candidate)
        if body is not None:
            return _claims(body)
    raise InternalTokenError("the internal token is not valid")


def _decoded(token: str, key: Any) -> dict[str, Any] | None:
    try:
        body = jwt.decode(token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=_OPTIONS)
    # Not only JWTError: a nested header ends in RecursionError, "exp": 1e400 in OverflowError.
    except Exception:  # noqa: BLE001
        return None
    return body if isinstance(body, dict) else None


def _claims(body: dict[str, Any]) -> InternalClaims:
    issued, expires = body.get("iat"), body.get("exp")
    whole = isinstance(issued, int) and isinstance(expires, int)
    if not whole or not 0 < expires - issued <= LIFETIME_SECONDS:  # type: ignore[operator]
        raise InternalTokenError("the internal token lives too long")
    if issued > time.time() + LEEWAY_SECONDS:  # type: ignore[operator]
        raise InternalTokenError("the internal token is from the future")
    try:
        return InternalClaims(
            subject=body["sub"],
            role=body["role"],
            session_id=body.get("session_id"),
            request_id=body["request_id"],
            # A missing key must not read as "all": only an explicit null means that.
            namespaces=body["namespaces"],
            clusters=body["clusters"],
            expires_in=max(1, min(LIFETIME_SECONDS, int(expires - time.time()))),  # type: ignore[operator]
        )
    except (KeyError, ValidationError, ValueError, TypeError) as error:
        raise InternalTokenError("the internal token lacks a claim") from error
