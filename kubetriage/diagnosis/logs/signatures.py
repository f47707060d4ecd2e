"""What lines of well-known programs mean. A signature is a pattern and the symptom that it shows.

One table for all languages: drivers of the same database word their errors alike. Sources are the
programs' own message catalogues (MySQL 8 error reference, PostgreSQL appendix A, Redis replies,
Go net and x509, Java exceptions, libuv codes, .NET socket errors).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Symptom(StrEnum):
    """What a line says is wrong."""

    DB_CREDENTIALS = "db_credentials"
    DB_CONNECTIONS = "db_connections"
    DB_READ_ONLY = "db_read_only"
    DB_UNREACHABLE = "db_unreachable"
    PORT_IN_USE = "port_in_use"
    DNS = "dns"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    FORBIDDEN = "forbidden"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"
    DISK_FULL = "disk_full"
    PERMISSION = "permission"
    EXEC_FORMAT = "exec_format"
    COMMAND_MISSING = "command_missing"
    OUT_OF_MEMORY = "out_of_memory"
    SETTING_MISSING = "setting_missing"
    FILE_MISSING = "file_missing"
    CRASH = "crash"  # a fatal line that says no more than that


@dataclass(frozen=True, slots=True)
class Signature:
    """``weight``: how much such a line explains a crash; the heaviest of a log wins."""

    symptom: Symptom
    pattern: re.Pattern[str]
    weight: int
    family: str = ""  # the kind of server it is about: mysql, postgres, redis, mongodb, rabbitmq ...


def _s(symptom: Symptom, weight: int, pattern: str, family: str = "") -> Signature:
    return Signature(symptom, re.compile(pattern, re.IGNORECASE), weight, family)


# Heaviest first: the first that matches a line is the line's.
SIGNATURES: tuple[Signature, ...] = (
    _s(Symptom.EXEC_FORMAT, 95, r"exec format error|exec user process caused"),
    _s(Symptom.COMMAND_MISSING, 94, r"executable file not found in \$?PATH|: not found$|command not found"),
    _s(
        Symptom.DB_CREDENTIALS,
        92,
        r"Access denied for user|ER_ACCESS_DENIED_ERROR|\(1045,|SQLSTATE\[?(?:HY000)?\]? ?\[1045\]",
        "mysql",
    ),
    _s(
        Symptom.DB_CREDENTIALS,
        92,
        r"password authentication failed for user|role \"[^\"]+\" does not exist|no pg_hba\.conf entry|28P01",
        "postgres",
    ),
    _s(
        Symptom.DB_CREDENTIALS,
        92,
        r"WRONGPASS|NOAUTH Authentication required|invalid username-password",
        "redis",
    ),
    _s(
        Symptom.DB_CREDENTIALS,
        92,
        r"MongoServerError: Authentication failed|SCRAM.*authentication failed",
        "mongodb",
    ),
    _s(Symptom.DB_CREDENTIALS, 90, r"ACCESS_REFUSED|Login was refused using authentication", "rabbitmq"),
    _s(Symptom.DB_CREDENTIALS, 90, r"Login failed for user", "mssql"),
    _s(Symptom.DB_CONNECTIONS, 91, r"Too many connections|max_user_connections|ER_CON_COUNT_ERROR", "mysql"),
    _s(
        Symptom.DB_CONNECTIONS,
        91,
        r"remaining connection slots are reserved|sorry, too many clients already|53300",
        "postgres",
    ),
    _s(Symptom.DB_CONNECTIONS, 91, r"max number of clients reached", "redis"),
    _s(
        Symptom.DB_READ_ONLY,
        91,
        r"running with the --(?:super-)?read-only option|\(1290,|ER_OPTION_PREVENTS",
        "mysql",
    ),
    _s(Symptom.DB_READ_ONLY, 91, r"cannot execute \w+ in a read-only transaction|25006", "postgres"),
    _s(
        Symptom.DB_READ_ONLY,
        91,
        r"READONLY You can't write against a read only|MISCONF Redis is configured",
        "redis",
    ),
    _s(Symptom.DB_READ_ONLY, 88, r"NotWritablePrimary|not master and slaveOk=false|not primary", "mongodb"),
    _s(
        Symptom.PORT_IN_USE,
        90,
        r"address already in use|EADDRINUSE|Port \d+ was already in use|port \d+ is (?:already )?in use|"
        r"Only one usage of each socket address|bind\(\) to .* failed \(98|failed to bind to address",
    ),
    _s(
        Symptom.DNS,
        86,
        r"no such host|UnknownHostException|Name or service not known|Temporary failure in name resolution|"
        r"\bENOTFOUND\b|EAI_AGAIN|getaddrinfo failed|nodename nor servname|Could not resolve host|"
        r"server misbehaving|host not found in upstream|NXDOMAIN|SERVFAIL|failed to resolve|"
        r"could not translate host name|bad address|DNS resolution failed|Name does not resolve|"
        r"\blookup \S+ on \S+:53\b|\blookup \S+: i/o timeout",
    ),
    _s(
        Symptom.CERTIFICATE_EXPIRED,
        88,
        r"certificate has expired|CERT_HAS_EXPIRED|CertificateExpiredException|"
        r"certificate expired",
    ),
    _s(
        Symptom.CERTIFICATE_UNTRUSTED,
        87,
        r"certificate signed by unknown authority|self.signed certificate|unable to get local issuer|"
        r"PKIX path building failed|SELF_SIGNED_CERT|certificate is valid for .* not |"
        r"doesn't match .*certificate|"
        r"CERTIFICATE_VERIFY_FAILED|x509: ",
    ),
    _s(
        Symptom.FORBIDDEN,
        88,
        r"is forbidden: User \"?system:serviceaccount|cannot (?:list|get|watch|create|update|patch|delete) "
        r"resource \"|forbidden.*system:serviceaccount",
    ),
    _s(
        Symptom.DISK_FULL,
        90,
        r"no space left on device|ENOSPC|disk quota exceeded|DISK_FULL|could not extend file",
    ),
    _s(
        Symptom.OUT_OF_MEMORY,
        88,
        r"OutOfMemoryError|JavaScript heap out of memory|fatal error: runtime: out of memory|std::bad_alloc|"
        r"MemoryError|Cannot allocate memory",
    ),
    _s(
        Symptom.PERMISSION,
        84,
        r"permission denied|EACCES|AccessDeniedException|Read-only file system|EROFS|Operation not permitted",
    ),
    _s(
        Symptom.SETTING_MISSING,
        86,
        r"environment variable \S+ (?:is )?(?:not set|required|missing|must be set)|"
        r"(?:missing|required|undefined) (?:required )?(?:environment variable|env(?:ironment)? var|setting|"
        r"config(?:uration)?)\b|KeyError: '[A-Z][A-Z0-9_]+'|Could not resolve placeholder|"
        r"not set: [A-Z_]{3,}|"
        r"[A-Z][A-Z0-9_]{2,} (?:is not set|must be set|is required|not defined|not specified)",
    ),
    _s(
        Symptom.FILE_MISSING,
        80,
        r"no such file or directory|FileNotFoundException|ENOENT|FileNotFoundError|NoSuchFileException|"
        r"cannot find module|ModuleNotFoundError|ClassNotFoundException|Unable to access jarfile",
    ),
    _s(
        Symptom.DB_UNREACHABLE,
        82,
        r"Communications link failure|Can't connect to MySQL server|\(2003,|CJCommunicationsException",
        "mysql",
    ),
    _s(
        Symptom.DB_UNREACHABLE,
        82,
        r"could not connect to server|connection to server at .* failed|PSQLException: Connection to|"
        r"the database system is (?:starting up|shutting down)",
        "postgres",
    ),
    _s(
        Symptom.DB_UNREACHABLE,
        82,
        r"Error \d+ connecting to .*6379|Could not connect to Redis|RedisConnection",
        "redis",
    ),
    _s(
        Symptom.DB_UNREACHABLE,
        82,
        r"MongoNetworkError|ServerSelectionTimeout|MongoTimeoutException",
        "mongodb",
    ),
    _s(Symptom.DB_UNREACHABLE, 80, r"AMQPConnectionError|AmqpConnectException|amqp.*dial", "rabbitmq"),
    _s(
        Symptom.REFUSED,
        78,
        r"connection refused|ECONNREFUSED|actively refused|Failed to establish a new connection|"
        r"connect\(\) failed \(111",
    ),
    _s(
        Symptom.TIMEOUT,
        70,
        r"i/o timeout|context deadline exceeded|ETIMEDOUT|Connection timed out|connect timed out|"
        r"Read timed out|SocketTimeoutException|upstream timed out|ReadTimeout|ConnectTimeout|"
        r"DeadlineExceeded|deadline exceeded",
    ),
    _s(
        Symptom.CRASH,
        50,
        r"^panic: |^fatal error: |^fatal: |\bFATAL\b|\bCRITICAL\b|Unhandled exception|"
        r"Exception in thread|^[\w.]*(?:Error|Exception): |Traceback \(most recent call last\)|"
        r"Application run failed|terminate called after|Segmentation fault|SIGSEGV|core dumped|"
        r"npm ERR!|UnhandledPromiseRejection|Uncaught \w*Error|thread 'main' panicked|assertion failed",
    ),
    _s(
        Symptom.CRASH,
        30,
        r"\b(?:ERROR|SEVERE)\b|\blevel=(?:error|fatal)\b|\b(?:error|failed|failure|invalid|cannot)\b",
    ),
)

# Every line that a signature matches holds one of these words (lower case); a test keeps it so.
WORDS: tuple[str, ...] = (
    "error", "exception", "denied", "fail", "refused", "unable", "cannot", "can't", "could not", "timeout",
    "timed out", "deadline", "forbidden", "fatal", "panic", "critical", "too many", "read-only", "readonly",
    "read only", "not found", "no such", "not known", "unknown", "already in use", "is in use", "eaddrinuse",
    "econnrefused", "enotfound", "etimedout", "eacces", "enoent", "enospc", "erofs", "eai_again", "no space",
    "quota", "out of memory", "outofmemory", "bad_alloc", "not set", "required", "missing", "must be set",
    "invalid", "unauthorized", "wrongpass", "noauth", "certificate", "cert_", "x509", "notafter", "resolve",
    "resolution", "nxdomain", "servfail", "misbehaving", "bad address", "severe", "traceback", "terminate",
    "segmentation", "sigsegv", "core dumped", "exec format", "exec user process", "communications link",
    "connection slots", "max number of clients", "max_user", "er_con", "er_access", "er_option", "28p01",
    "53300", "25006", "does not exist", "pg_hba", "access_refused", "refused using", "not primary",
    "not master", "notwritable", "misconf", "starting up", "shutting down", "not permitted", "pkix",
    "self_signed", "self-signed", "issuer", "placeholder", "not defined", "not specified", "undefined",
    "(1045", "(1290", "(2003", "one usage", "enotprimary", "actively", "translate host", "getaddrinfo",
    "nodename", "mongonetwork", "serverselection", "redisconnection", "amqp", "file system",
)  # fmt: skip
