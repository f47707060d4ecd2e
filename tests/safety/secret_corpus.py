"""Secrets in the surroundings in which they are really found.

They are put together at run time from parts and a fixed seed: a scanner of this repository finds none.
"""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

_LETTERS = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"
_URL_SAFE = _LETTERS + "-_"


@dataclass(frozen=True, slots=True)
class Sample:
    """``secret`` is what must not be left of ``text``."""

    name: str
    text: str
    secret: str


class _Source:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def of(self, characters: str, count: int) -> str:
        return "".join(self._random.choice(characters) for _ in range(count))

    def mixed(self, count: int) -> str:
        return self.of(_LETTERS, count)

    def hex(self, count: int) -> str:
        return self.of(_HEX, count)

    def safe(self, count: int) -> str:
        return self.of(_LETTERS, 1) + self.of(_URL_SAFE, count - 2) + self.of(_LETTERS, 1)

    def password(self) -> str:
        """With what people are told to put in: letters, a digit, punctuation that no shell minds."""
        return f"{self.mixed(5)}{self.of('!.%^+~', 1)}{self.of(string.digits, 3)}{self.mixed(4)}"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _jwt(source: _Source) -> str:
    parts = ('{"alg":"RS256","kid":"k1"}', '{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:shop:api"}')
    encoded = [base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, source.safe(86)))


def _pem(source: _Source, kind: str, lines: int = 6) -> str:
    body = "\n".join(source.of(_LETTERS + "+/", 64) for _ in range(lines))
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----"


def _prefixed(s: _Source) -> dict[str, str]:
    """Tokens that their vendor's prefix gives away."""
    return {
        "aws-access-key": "AK" + "IA" + s.of(string.ascii_uppercase + string.digits, 16),
        "aws-temporary-key": "AS" + "IA" + s.of(string.ascii_uppercase + string.digits, 16),
        "google-api-key": "AI" + "za" + s.safe(35),
        "google-oauth-token": "ya" + "29." + s.safe(80),
        "google-client-secret": "GOC" + "SPX-" + s.safe(28),
        "azure-client-secret": s.mixed(3) + "8Q" + "~" + s.mixed(34),
        "digitalocean": "dop" + "_v1_" + s.hex(64),
        "heroku": "HR" + "KU-" + s.safe(60),
        "databricks": "da" + "pi" + s.hex(32),
        "github-classic": "gh" + "p_" + s.mixed(36),
        "github-actions": "gh" + "s_" + s.mixed(36),
        "github-fine-grained": "github" + "_pat_" + s.mixed(22) + "_" + s.mixed(59),
        "gitlab-personal": "gl" + "pat-" + s.safe(20),
        "gitlab-runner": "gl" + "rt-" + s.safe(20),
        "gitlab-deploy": "gl" + "dt-" + s.safe(20),
        "atlassian": "ATA" + "TT3xFfGF0" + s.safe(60),
        "npm": "np" + "m_" + s.mixed(36),
        "pypi": "py" + "pi-AgEIcHlwaS5vcmc" + s.safe(60),
        "rubygems": "ruby" + "gems_" + s.hex(48),
        "docker-hub": "dck" + "r_pat_" + s.safe(27),
        "artifactory": "AK" + "Cp" + s.mixed(69),
        "terraform-cloud": s.mixed(14) + ".atlas" + "v1." + s.safe(67),
        "openai": "sk" + "-" + s.mixed(48),
        "openai-project": "sk" + "-proj-" + s.safe(74),
        "anthropic": "sk" + "-ant-api03-" + s.safe(93),
        "groq": "gs" + "k_" + s.mixed(52),
        "huggingface": "h" + "f_" + s.of(string.ascii_letters, 34),
        "langsmith": "ls" + "v2_pt_" + s.hex(32) + "_" + s.hex(10),
        "stripe-live": "sk" + "_live_" + s.mixed(24),
        "stripe-restricted": "rk" + "_live_" + s.mixed(24),
        "stripe-webhook": "wh" + "sec_" + s.mixed(32),
        "square": "sq0" + "csp-" + s.safe(43),
        "shopify": "shp" + "at_" + s.hex(32),
        "sendgrid": "S" + "G." + s.safe(22) + "." + s.safe(43),
        "mailgun": "ke" + "y-" + s.hex(32),
        "mailchimp": s.hex(32) + "-us" + "14",
        "twilio": "S" + "K" + s.hex(32),
        "slack-bot": "xo" + "xb-" + s.of(string.digits, 12) + "-" + s.of(string.digits, 12) + "-" + s.mixed(24),
        "slack-app": "xa" + "pp-1-A0" + s.of(string.digits, 9) + "-" + s.hex(64),
        "telegram-bot": s.of("123456789", 10) + ":A" + "A" + s.safe(33),
        "grafana": "gl" + "sa_" + s.mixed(32) + "_" + s.hex(8),
        "sentry": "snt" + "rys_" + s.mixed(80),
        "new-relic": "NR" + "AK-" + s.of(string.ascii_uppercase + string.digits, 27),
        "dynatrace": "dt0" + "c01." + s.of(string.ascii_uppercase, 24) + "." + s.of(string.ascii_uppercase, 64),
        "vault-service": "hv" + "s." + s.safe(90),
        "doppler": "dp" + ".pt." + s.mixed(43),
        "planetscale": "pscale" + "_pw_" + s.mixed(43),
        "airtable": "pa" + "t" + s.mixed(14) + "." + s.hex(64),
        "linear": "lin" + "_api_" + s.mixed(40),
        "postman": "PM" + "AK-" + s.hex(24) + "-" + s.hex(34),
        "age": "AGE-SECRET" + "-KEY-1" + s.of(string.ascii_uppercase + "0234567", 58),
        "kubetriage": "k" + "t_" + s.safe(43),
        "service-account-jwt": _jwt(s),
    }


# Where such a token stands, in turns: log lines, env dumps, YAML, URLs, JSON.
_PLACES = (
    '2026-11-23T12:00:00Z ERROR client.go:87 request refused: credential "{}" is revoked',
    "VENDOR_VALUE={}",
    "  vendor: {}\n  retries: 3",
    "GET https://api.example.com/v1/items?page=2&auth={} 401",
    '{{"level":"warn","msg":"bad credential","given":"{}","attempt":2}}',
    "panic: login with {} failed: 403 Forbidden",
)


def _named(s: _Source) -> Iterator[tuple[str, str, str]]:
    """(name, text with {}, secret): told by its name or its place, not by its own look."""
    word, other = s.password, lambda: s.mixed(40)
    yield "env-password", "HOME=/root\nDB_PASSWORD={}\nPATH=/usr/bin", word()
    yield "env-odd-characters", "MYSQL_ROOT_PASSWORD={}\nTZ=UTC", s.mixed(6) + "&,;)}<" + s.mixed(6)
    yield "env-export", 'export SMTP_PASS="{}"', word() + " " + word()
    yield "env-short-name", "REDIS_PWD={}", word()
    yield "aws-secret-key", "aws_secret_access_key = {}\nregion = eu-west-1", s.of(_LETTERS + "/+", 40)
    yield "aws-session-token", "AWS_SESSION_TOKEN={}", s.of(_LETTERS + "/+", 180)
    yield "aws-sdk-json", '{{"AccessKeyId":"x","SecretAccessKey":"{}","Expiration":"2026-11-23T13:00:00Z"}}', other()
    yield "azure-account-key", "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={};EndpointSuffix=x", other()
    yield "azure-shared-access-key", "Endpoint=sb://q.example/;SharedAccessKeyName=send;SharedAccessKey={}", other()
    yield "azure-sas-url", "PUT https://shop.blob.example/a/b?sv=2024-11-04&se=2026-12-01&sr=b&sig={} 403", s.mixed(43)
    yield "aws-presigned-url", "GET https://b.s3.example/k?X-Amz-Expires=300&X-Amz-Signature={} 403", s.hex(64)
    yield (
        "aws-authorization",
        "Authorization: AWS4-HMAC-SHA256 Credential=x/20261123, SignedHeaders=host, Signature={}",
        s.hex(64),
    )
    yield "yaml-password", "database:\n  host: db\n  password: {}\n  port: 5432", word()
    yield "yaml-quoted", 'auth:\n  clientSecret: "{}"', word() + ": #" + word()
    yield "yaml-block", "tls:\n  api_token: |\n    {}\n  mode: strict", other()
    yield "yaml-variable", "env:\n- name: STRIPE_API_KEY\n  value: {}\n- name: LOG_LEVEL\n  value: debug", other()
    yield "json-variable", '{{"env":[{{"name":"ADMIN_PASSWORD","value":"{}"}}]}}', word()
    yield "json-field", '{{"user":"app","password":"{}","host":"db"}}', word()
    yield "json-in-json", '{{"msg":"config: {{\\"apiKey\\":\\"{}\\",\\"retries\\":3}}"}}', other()
    yield "camel-case", "loaded Config{{dbHost:db, dbPassword:{}, poolSize:5}}", word()
    yield "go-struct", "cfg={{User:app Password:{} Host:db}}", word()
    yield "python-dict", "connect kwargs {{'host': 'db', 'passwd': '{}', 'port': 3306}}", word()
    yield "properties", "spring.datasource.password={}", word()
    yield "toml", '[auth]\nsecret_key = "{}"', word()
    yield "xml", "<server><id>central</id><password>{}</password></server>", word()
    yield "ini-described", "      DB_PASSWORD:                {}", word()
    yield "flag", "starting /app/server --listen=:8080 --db-password={} --verbose", word()
    yield "flag-apart", "exec: /app/server --listen :8080 --api-token {} --verbose", other()
    yield "url-password", "dial postgres://orders:{}@db.shop:5432/orders: connection refused", word()
    yield "url-only-password", "REDIS_URL=redis://:{}@cache:6379/0", s.mixed(20)
    yield (
        "url-mongodb",
        "MongoServerError connecting to mongodb+srv://app:{}@c0.example/shop?retryWrites=true",
        s.mixed(16),
    )
    yield "url-amqp", "amqp.Dial amqp://worker:{}@mq:5672/%2f", s.mixed(12)
    yield (
        "url-token-as-user",
        "fatal: unable to access 'https://{}@git.example/shop.git/': 403",
        s.mixed(24) + "1" + s.mixed(8),
    )
    yield "url-query", "GET /callback?state=1&access_token={}&scope=read 200", s.mixed(40)
    yield "url-client-secret", "POST /oauth/token grant_type=client_credentials&client_secret={}&scope=x", s.mixed(32)
    yield "go-mysql-dsn", "open orders:{}@tcp(db:3306)/orders: connection refused", s.mixed(14)
    yield "libpq-dsn", "connect host=db user=orders password='{}' dbname=orders", word()
    yield "odbc", "Driver={{x}};Server=db;UID=sa;PWD={};Encrypt=yes", s.mixed(14)
    yield "jdbc-query", "jdbc:mysql://db:3306/shop?user=app&password={}&useSSL=false", s.mixed(14)
    yield "jdbc-oracle", "jdbc:oracle:thin:scott/{}@//db:1521/XE", s.mixed(12)
    yield "kafka-jaas", 'PlainLoginModule required username="app" password="{}";', word()
    yield "basic-header", "> Authorization: Basic {}", _base64("app:" + word())
    yield "bearer-header", "curl -H 'Authorization: Bearer {}' https://api.example/v1", s.safe(40)
    yield "token-header", "Authorization: token {}", s.hex(40)
    yield "api-key-header", "x-api-key: {}", s.mixed(32)
    yield "vault-header", "X-Vault-Token: {}", s.mixed(26)
    yield "cookie", "Cookie: session={}; theme=dark", s.safe(48)
    yield "set-cookie", "< Set-Cookie: sid={}; Path=/; HttpOnly", s.safe(32)
    yield "curl-user", "+ curl -sS -u deploy:{} https://nexus.example/repository/", word()
    yield "mysql-flag", "+ mysqldump -h db -u root -p{} shop", word()
    yield "redis-cli", "+ redis-cli -h cache -a {} ping", s.mixed(18)
    yield "docker-login", "+ docker login -u ci -p {} registry.example", s.mixed(20)
    yield "netrc", "machine git.example login ci password {}", word()
    yield "sql", "CREATE USER 'app'@'%' IDENTIFIED BY '{}';", word()
    yield "docker-config", '{{"auths":{{"registry.example":{{"auth":"{}"}}}}}}', _base64("ci:" + word())
    yield "kubeconfig-key", "users:\n- user:\n    client-key-data: {}", _base64(_pem(s, "RSA PRIVATE " + "KEY", 2))
    yield "django", "SECRET_KEY = '{}'", s.mixed(20) + "$(#=" + s.mixed(20)
    yield "rails", "SECRET_KEY_BASE={}", s.hex(128)
    yield "laravel", "APP_KEY=base64:{}", _base64(s.mixed(32))
    yield "datadog", "DD_API_KEY={}", s.hex(32)
    yield "webhook-slack", "POST https://hooks.slack.com/services/{} 404", f"T{s.mixed(8)}/B{s.mixed(8)}/{s.mixed(24)}"
    yield "webhook-discord", "POST https://discord.com/api/webhooks/{} 404", s.of("123456789", 18) + "/" + s.safe(68)
    yield "bcrypt", "admin:{}", "$2" + "y$10$" + s.of(_LETTERS + "./", 53)
    yield "shadow", "app:{}:20000:0:99999:7:::", "$6" + "$" + s.mixed(16) + "$" + s.of(_LETTERS + "./", 86)
    yield "base64-of-a-url", "data:\n  uri: {}", _base64(f"postgres://orders:{s.mixed(16)}@db:5432/orders")
    yield "base64-of-a-file", '{{"config.yaml":"{}"}}', _base64(f"db:\n  password: {word()}\n")
    yield (
        "secret-yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata:\n  plain: {}\ntype: Opaque",
        _base64(word()),
    )
    yield "secret-string-data", "kind: Secret\nmetadata:\n  name: db\nstringData:\n  hello: {}\n", word()
    yield "secret-json", '{{"kind":"Secret","data":{{"hello":"{}"}},"metadata":{{"name":"db"}}}}', _base64(word())


def samples() -> list[Sample]:
    """Every shape in one realistic place."""
    source = _Source(20261123)
    found = [
        Sample(name, _PLACES[number % len(_PLACES)].format(token), token)
        for number, (name, token) in enumerate(_prefixed(source).items())
    ]
    found += [Sample(name, text.format(secret), secret) for name, text, secret in _named(source)]
    for kind in ("RSA PRIVATE", "EC PRIVATE", "OPENSSH PRIVATE", "PRIVATE", "ENCRYPTED PRIVATE"):
        pem = _pem(source, f"{kind} " + "KEY")
        found.append(Sample(f"pem-{kind.lower()}", f"writing\n{pem}\ndone", pem.split("\n")[2]))
    pem = _pem(source, "PRIVATE " + "KEY")
    body = pem.split("\n")[3]
    found.append(Sample("pem-in-json", json.dumps({"type": "service_account", "private_key": pem}), body))
    found.append(Sample("pem-cut-off", "tls: " + pem[:200], pem.split("\n")[1]))
    pgp = _pem(source, "PGP PRIVATE " + "KEY BLOCK")
    found.append(Sample("pgp", f"import\n{pgp}", pgp.split("\n")[4]))
    return found


def survivors() -> list[str]:
    """Lines of healthy talk that look a little like secrets, and whose names a diagnosis needs."""
    s = _Source(11)
    uid = "-".join(s.hex(n) for n in (8, 4, 4, 4, 12))
    return [
        f"Pulled image registry.example/shop/cart@sha256:{s.hex(64)}",
        f"imageID: docker.io/library/redis@sha256:{s.hex(64)}",
        f"containerd://{s.hex(64)}",
        f"uid: {uid}",
        f'"uid":"{uid}","resourceVersion":"{s.of(string.digits, 9)}"',
        "pod/payments-556896b5fb-96x7l deleted",
        "Created pod: token-service-7c9d8f6b5d-x2x9z",
        f"commit {s.hex(40)}",
        f"git revision {s.hex(7)} deployed",
        f"sha1 {s.hex(40)} md5 {s.hex(32)}",
        f"checksum/config: {s.hex(64)}",
        f"h1:{_base64(s.mixed(32))} go.sum",
        f"traceparent 00-{s.hex(32)}-{s.hex(16)}-01",
        f"request_id={s.mixed(22)} status=500",
        "node ip-10-0-3-17.eu-west-1.compute.internal is NotReady",
        "gke-prod-default-pool-1a2b3c4d-x9z8 cordoned",
        "aks-nodepool1-12345678-vmss000003 ready",
        'MountVolume.SetUp failed for volume "v" : secret "db-credentials" not found',
        "couldn't find key password in Secret shop/db",
        'E1123 12:00:00 kubelet.go:1 "Unable to retrieve pull secret" secret="shop/registry-cred" err="not found"',
        "secretName: db-credentials",
        "    secretKeyRef:\n      key: password\n      name: db-credentials",
        "  imagePullSecrets:\n  - name: regcred",
        "automountServiceAccountToken: false",
        "      serviceAccountToken:\n          expirationSeconds: 3607\n          path: token",
        "topologyKey: kubernetes.io/hostname",
        "- key: node.kubernetes.io/not-ready\n  operator: Exists",
        "max_tokens=4096 prompt_tokens: 120034 completion_tokens: 77",
        "token_type=bearer token_endpoint=https://idp.example/token",
        "password_file=/run/secrets/db PGPASSFILE=/home/app/.pgpass",
        "KEY_FILE: /etc/tls/tls.key",
        "PWD=/app OLDPWD=/",
        "password: ${DB_PASSWORD}",
        "token: '{{ .Values.token }}'",
        "using password: YES",
        "password=[redacted value]",
        "Error: secret not found",
        "invalid token: expired at noon",
        "invalid character 'p' after object key: value pair",
        "failed: basic authentication is required",
        "Bearer authentication failed",
        'FATAL: password authentication failed for user "orders"',
        "cache key: user:42 partition_key=orders primary_key=id",
        "GET http://cart:8080/items?key=user&code=404 503",
        "dial tcp 10.0.0.7:5432: connect: connection refused",
        f'Get "https://registry-1.docker.io/v2/": net/http: TLS handshake timeout ({s.of(string.digits, 6)})',
        "Successfully assigned shop/cart-5cc6cd9496-5t6xm to node-1",
        "tests passed: 12, failed: 0",
        "-----BEGIN CERTIFICATE-----",
        _base64("a picture, or any other text of some length that holds nothing"),
    ]
