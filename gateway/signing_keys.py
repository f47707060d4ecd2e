"""The keys of access tokens: one pinned algorithm per key, overlapping ``kid``s for rotation."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jose import jwk
from jose.utils import base64url_encode
from redis.asyncio import Redis

_STORED = "kt:gateway:signing_keys"
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)
_MINIMUM_RSA_BITS = 2048


class SigningKeyError(Exception):
    """A configured key cannot be used. The message never quotes it."""

    code = "signing_key_invalid"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair. ``private`` and ``public`` are prebuilt: from PEM each use costs up to 30 ms."""

    kid: str
    algorithm: str
    private: Any
    public: Any
    public_jwk: dict[str, str]


class KeySet:
    """The first key signs, all of them verify."""

    def __init__(self, keys: tuple[SigningKey, ...]) -> None:
        if not keys:
            raise SigningKeyError("there is no signing key")
        self._by_kid = {key.kid: key for key in keys}
        self.signing = keys[0]

    def get(self, kid: object) -> SigningKey | None:
        """The key with this id, if we have it."""
        return self._by_kid.get(kid) if isinstance(kid, str) else None

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys as a JWK set (RFC 7517)."""
        return {"keys": [key.public_jwk for key in self._by_kid.values()]}


def read_keys(pem: str) -> KeySet:
    """Keys from one or more PEM private keys, unencrypted. Raises SigningKeyError."""
    return KeySet(tuple(_read_key(block) for block in _PEM.findall(pem)))


def new_key() -> str:
    """A PEM private key on P-256."""
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


async def stored_keys(redis: Redis) -> KeySet:
    """Tier 1: the keys that every gateway on this Redis shares, made by whoever starts first."""
    client: Any = redis
    pem = await client.get(_STORED)
    if pem is None:
        await client.set(_STORED, new_key(), nx=True)
        pem = await client.get(_STORED)
    return read_keys(pem)


def _read_key(pem: str) -> SigningKey:
    try:
        private = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise SigningKeyError("a signing key is not an unencrypted PEM private key") from error
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        algorithm, members = "ES256", ["crv", "kty", "x", "y"]
    elif isinstance(private, rsa.RSAPrivateKey) and private.key_size >= _MINIMUM_RSA_BITS:
        algorithm, members = "RS256", ["e", "kty", "n"]
    else:
        raise SigningKeyError(f"a signing key is EC P-256 or RSA of at least {_MINIMUM_RSA_BITS} bits")
    public_pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    public = jwk.construct(public_pem.decode(), algorithm)
    described = public.to_dict()
    required = {name: _text(described[name]) for name in members}
    kid = _thumbprint(required)
    return SigningKey(
        kid=kid,
        algorithm=algorithm,
        private=jwk.construct(pem, algorithm),
        public=public,
        public_jwk={**required, "kid": kid, "alg": algorithm, "use": "sig"},
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _thumbprint(required: dict[str, str]) -> str:
    # RFC 7638: the required members, sorted, without white space.
    canonical = json.dumps(required, sort_keys=True, separators=(",", ":")).encode()
    return base64url_encode(hashlib.sha256(canonical).digest()).decode()
