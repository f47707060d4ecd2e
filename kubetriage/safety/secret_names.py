"""Whether the name of a field, variable, flag or header says that its value is a secret. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# Contained in a word: people write dbpassword and appsecrets in one.
_PARTS = ("passw", "passphrase", "passcode", "secret", "credential", "apikey", "accesskey", "privatekey", "accountkey")
_WHOLE = frozenset({"pass", "pwd", "token", "tokens", "cookie", "authorization", "jwt"})
# A key is a secret only when it is said of what: partitionKey, topologyKey and primary_key are none.
_KEY = re.compile(
    r"(?:^|_)(?:access|account|admin|aes|api|app|application|auth|authorization|client|cookie|crypto|data|decryption"
    r"|deploy|encrypt|encryption|functions?|hmac|host|ingest|instrumentation|integration|internal|jwt|license|master"
    r"|private|root|rsa|secret|service|session|shared|shared_access|sign|signing|ssh|storage|tls|webhook|write)"
    r"_keys?(?:_data|_base)?$"
)
# What is about a secret and not the secret: secretName, token_type, password_file, tokenExpirationSeconds.
# fmt: off
_ABOUT = frozenset({
    "age", "alg", "algorithm", "attempts", "audience", "backend", "bytes", "class", "controller", "count", "dir",
    "duration", "enabled", "endpoint", "engine", "error", "errors", "exists", "expiration", "expired", "expires",
    "expiry", "field", "file", "format", "found", "header", "id", "ids", "interval", "issuer", "kind", "length",
    "lifetime", "limit", "manager", "missing", "mode", "mount", "name", "names", "namespace", "operator", "path",
    "policy", "prefix", "provider", "ref", "refs", "rejected", "request", "requests", "required", "role",
    "rotation", "rules", "scope", "seconds", "selector", "size", "source", "status", "store", "syntax", "time",
    "timeout", "total", "ttl", "type", "uri", "url", "usage", "used", "user", "username", "valid", "validation",
    "version",
})
# fmt: on
_POINTERS = frozenset({"completion", "existing", "input", "max", "min", "num", "output", "prompt", "public", "without"})


@lru_cache(maxsize=4096)  # the names of a program's fields are few, and come again on every line
def is_secret_name(name: str) -> bool:
    """``DB_PASSWORD``, ``clientSecret``, ``--api-key``; not ``secretName``, ``max_tokens`` or ``partition.key``."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] in _ABOUT or not _POINTERS.isdisjoint(words):
        return False
    for word in words:
        if word in _WHOLE or word.endswith("token") or any(part in word for part in _PARTS):
            return True
    return _KEY.search("_".join(words)) is not None
