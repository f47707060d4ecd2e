"""The attack matrix of tokens: whatever is wrong, the caller sees the same 401."""

import base64
import json
import time
from dataclasses import replace

import jose.jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.access_tokens import AccessTokenError, AccessTokens
from gateway.signing_keys import KeySet, SigningKeyError, new_key, read_keys
from gateway.users import User
from kubetriage.contracts.identity import InternalClaims, Role
from kubetriage.safety.internal_tokens import InternalTokenError, sign_internal, verify_internal
from tests.gateway.support import bearer, log_in
from tests.processes import send

USER = User("ada", Role.VIEWER, ("shop",), None, disabled=False, epoch=0)
KEYS = read_keys(new_key())
CLAIMS = {
    "iss": "iss",
    "aud": "aud",
    "sub": "ada",
    "role": "viewer",
    "namespaces": None,
    "clusters": None,
    "epoch": 0,
    "family": "f",
    "jti": "j",
}


def tokens(keys: KeySet = KEYS) -> AccessTokens:
    return AccessTokens(keys, issuer="iss", audience="aud", lifetime_seconds=900)


def forged(claims: dict | None = None, header: dict | None = None, drop: tuple[str, ...] = ()) -> str:
    """Signed with the right key, but with these claims and header fields."""
    now = int(time.time())
    body = {**CLAIMS, "iat": now, "nbf": now, "exp": now + 60, **(claims or {})}
    body = {name: value for name, value in body.items() if name not in drop}
    fields = {"typ": "at+jwt", "kid": KEYS.signing.kid, **(header or {})}
    return jose.jwt.encode(body, KEYS.signing.private, algorithm="ES256", headers=fields)


def raw(header: object, payload: object = None, signature: str = "AAAA") -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, payload)]
    return ".".join([*parts, signature])


def hmac_with_public_key() -> str:
    pem = json.dumps(KEYS.jwks()["keys"][0])  # what an attacker can read
    return jose.jwt.encode(
        {**CLAIMS, "exp": time.time() + 60}, pem, algorithm="HS256", headers={"typ": "at+jwt", "kid": KEYS.signing.kid}
    )


NOW = int(time.time())
GOOD_HEADER = {"typ": "at+jwt", "alg": "ES256", "kid": KEYS.signing.kid}
ATTACKS = {
    "empty": "",
    "two parts": "a.b",
    "not base64": "!!!.???.###",
    "unsigned": raw({**GOOD_HEADER, "alg": "none"}, CLAIMS, ""),
    "unsigned, odd case": raw({**GOOD_HEADER, "alg": "nOnE"}, CLAIMS, ""),
    "wrong signature": forged()[:-6] + "AAAAAA",
    "public key as HMAC secret": hmac_with_public_key(),
    "another algorithm's name": raw({**GOOD_HEADER, "alg": "RS256"}, CLAIMS),
    "typ of an id token": forged(header={"typ": "JWT"}),
    "unknown kid": forged(header={"kid": "nobody"}),
    "kid is a path": forged(header={"kid": "../../etc/passwd"}),
    "kid is a list": forged(header={"kid": ["a"]}),
    "jku": forged(header={"jku": "https://evil.invalid/keys"}),
    "x5u": forged(header={"x5u": "https://evil.invalid/cert"}),
    "embedded jwk": forged(header={"jwk": KEYS.signing.public_jwk}),
    "unknown crit": forged(header={"crit": ["exp"]}),
    "expired": forged({"exp": NOW - 120, "iat": NOW - 200, "nbf": NOW - 200}),
    "not yet valid": forged({"nbf": NOW + 300}),
    "issued in the future": forged({"iat": NOW + 300}),
    "wrong issuer": forged({"iss": "https://evil.invalid"}),
    "wrong audience": forged({"aud": "other"}),
    **{f"without {name}": forged(drop=(name,)) for name in ("exp", "nbf", "iat", "iss", "aud", "sub", "jti")},
    "without rights": forged(drop=("namespaces",)),
    "exp is a list": forged({"exp": [1]}),
    "exp is infinite": forged({"exp": 10**400}),
    "role nobody has": forged({"role": "root"}),
    "nested header": base64.urlsafe_b64encode(b"[" * 700).decode() + ".e30.AAAA",
    "header is a list": raw([1], CLAIMS),
    "oversized": "a" * 9000 + ".b.c",
    "oversized header": "a" * 2000 + ".b.c",
    "huge": forged({"pad": "x" * 10000}),
}


@pytest.mark.parametrize("token", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_bad_token_is_refused(token):
    with pytest.raises(AccessTokenError):
        tokens().verify(token)


def test_the_forger_of_these_tests_makes_good_tokens_otherwise():
    assert tokens().verify(forged()).user.username == "ada"


def test_a_token_carries_the_rights_of_its_user():
    found = tokens().verify(tokens().issue(USER, family="fam"))
    assert (found.user, found.family) == (USER, "fam")


def test_both_keys_are_good_during_a_rotation_and_the_first_signs():
    old, new = new_key(), new_key()
    before, during, after = read_keys(old), read_keys(new + old), read_keys(new)
    token = tokens(before).issue(USER, family="f")
    assert tokens(during).verify(token).user == USER
    assert tokens(after).verify(tokens(during).issue(USER, family="f")).user == USER
    with pytest.raises(AccessTokenError):
        tokens(after).verify(token)
    assert len(during.jwks()["keys"]) == 2


def rsa_pem(bits: int) -> str:
    key = rsa.generate_private_key(65537, bits)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_rsa_keys_sign_rs256_and_never_verify_anything_else():
    keys = read_keys(rsa_pem(2048))
    token = tokens(keys).issue(USER, family="f")
    assert tokens(keys).verify(token).user == USER
    assert jose.jwt.get_unverified_header(token)["alg"] == "RS256"
    both = KeySet((replace(keys.signing, algorithm="ES256"),))
    with pytest.raises(AccessTokenError):
        tokens(both).verify(token)


@pytest.mark.parametrize("pem", ["", "no pem", rsa_pem(1024)], ids=["nothing", "text", "short rsa"])
def test_unusable_signing_keys_are_refused(pem):
    with pytest.raises(SigningKeyError):
        read_keys(pem)


def test_public_keys_hold_nothing_private():
    assert set(KEYS.jwks()["keys"][0]) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


def test_a_token_that_was_good_before_is_refused_once_it_has_expired():
    ours, now = tokens(), int(time.time())
    # Within the leeway of a minute, for one or two seconds more.
    token = forged({"exp": now - 59, "iat": now - 200, "nbf": now - 200})
    assert ours.verify(token) == ours.verify(token)
    while time.time() < now + 3:
        time.sleep(0.1)
    with pytest.raises(AccessTokenError):
        ours.verify(token)


def test_a_remembered_token_lends_nothing_to_one_that_begins_alike():
    ours, good = tokens(), forged()
    ours.verify(good)
    with pytest.raises(AccessTokenError):
        ours.verify(good[:-6] + "AAAAAA")


@pytest.mark.parametrize("name", ["unsigned", "nested header", "unknown kid", "expired", "empty", "oversized"])
async def test_every_bad_token_gets_the_same_401(gateway, http, name):
    headers = bearer(ATTACKS[name]) if ATTACKS[name] else {"Authorization": "Bearer"}
    reply = await send(http, "GET", f"{gateway.url}/v1/me", headers=headers)
    assert (reply.status, reply.json["code"]) == (401, "token_invalid")
    assert reply.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


async def test_no_token_gets_a_bare_challenge(gateway, http):
    reply = await send(http, "GET", f"{gateway.url}/v1/me")
    assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_the_published_keys_verify_the_tokens_and_the_tokens_follow_rfc_9068(gateway, http):
    token = (await log_in(http, gateway.url))["access_token"]
    header = jose.jwt.get_unverified_header(token)
    jwks = (await send(http, "GET", f"{gateway.url}/.well-known/jwks.json")).json
    key = next(key for key in jwks["keys"] if key["kid"] == header["kid"])
    claims = jose.jwt.decode(token, key, algorithms=["ES256"], audience="kubetriage")
    assert header["typ"] == "at+jwt"
    assert {"iss", "aud", "sub", "exp", "nbf", "iat", "jti", "scope", "client_id"} <= claims.keys()
    assert claims["exp"] - claims["iat"] <= 900


INTERNAL = InternalClaims(subject="ada", request_id="r", namespaces=("shop",), clusters=None, session_id="s_12345678")


def test_internal_tokens_carry_the_claims_and_survive_a_key_rotation():
    found = verify_internal(sign_internal(INTERNAL, "o" * 32), ["n" * 32, "o" * 32])
    assert found.model_copy(update={"expires_in": 60}) == INTERNAL
    assert found.expires_in <= 60


def internal(**changes: object) -> str:
    now = int(time.time())
    body = {
        "iss": "kubetriage-gateway", "aud": "kubetriage-internal", "sub": "ada", "iat": now, "exp": now + 60,
        "jti": "j", "role": "viewer", "request_id": "r", "namespaces": None, "clusters": None, **changes,
    }  # fmt: skip
    return jose.jwt.encode({k: v for k, v in body.items() if v != "drop"}, "k" * 32, algorithm="HS256")


INTERNAL_ATTACKS = {
    "empty": "",
    "nested": base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.AAAA",
    "other key": jose.jwt.encode({"sub": "x"}, "z" * 32, algorithm="HS256"),
    "other issuer": internal(iss="evil"),
    "other audience": internal(aud="kubetriage"),
    "expired": internal(iat=NOW - 200, exp=NOW - 140),
    "lives too long": internal(exp=NOW + 3600),
    "no expiry": internal(exp="drop"),
    "no audience": internal(aud="drop"),
    "no token id": internal(jti="drop"),
    "no namespaces is not all namespaces": internal(namespaces="drop"),
    "unknown role": internal(role="root"),
    "too big": "a" * 20000,
    "an access token": tokens().issue(USER, family="f"),
}


@pytest.mark.parametrize("token", INTERNAL_ATTACKS.values(), ids=INTERNAL_ATTACKS.keys())
def test_a_bad_internal_token_is_refused(token):
    with pytest.raises(InternalTokenError) as caught:
        verify_internal(token, ["k" * 32])
    assert caught.value.code == "internal_token_invalid"


def test_the_forger_of_internal_tokens_makes_good_ones_otherwise():
    assert verify_internal(internal(), ["k" * 32]).subject == "ada"


@pytest.mark.parametrize(
    "call", [lambda: sign_internal(INTERNAL, "short"), lambda: verify_internal("a.b.c", ["short"])]
)
def test_short_internal_keys_are_refused(call):
    with pytest.raises(InternalTokenError, match="at least 32"):
        call()
