"""What secrets look like wherever they stand: the one list that bundles, prompts, answers and logs share.

A shape has hints, as in gitleaks: only a text that holds one of them is searched with its pattern, so that
a long list costs little. Every repetition is bounded or begins at the start of a run only: a log can be one
line of 256 KiB.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """``hints`` are lower-case; of what ``pattern`` matches only its group ``kept``, if any, is no secret."""

    what: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]


def _shape(what: str, hints: str, pattern: str, flags: int = 0) -> Shape:
    return Shape(what, tuple(hints.split("|")), re.compile(pattern, flags))


def _token(what: str, hints: str, pattern: str) -> Shape:
    """A token that begins with its vendor's prefix and does not continue another word."""
    return _shape(what, hints, rf"(?<![A-Za-z0-9_]){pattern}")


SHAPES: tuple[Shape, ...] = (
    _shape(
        "private-key",
        "private key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?"
        r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
        re.DOTALL,
    ),
    _shape("private-key", "private-lines", r"(?<=Private-Lines: )\d{1,4}(?:\s+[A-Za-z0-9+/=]{16,128}+)+"),
    _token("private-key", "age-secret-key-1", r"AGE-SECRET-KEY-1[0-9A-Z]{30,100}"),
    _shape("jwt", "eyj", r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}"),
    # Cloud providers.
    _token("aws-key", "akia|asia|abia|acca", r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}\b"),
    _token("google-key", "aiza", r"AIza[A-Za-z0-9_-]{35}"),
    _token("google-token", "ya29.", r"ya29\.[A-Za-z0-9_-]{20,}"),
    _token("google-secret", "gocspx-", r"GOCSPX-[A-Za-z0-9_-]{20,}"),
    _shape("azure-secret", "q~", r"(?<![\w.~-])[A-Za-z0-9_.~-]{3}\dQ~[A-Za-z0-9_.~-]{31,34}"),
    _token("alibaba-key", "ltai", r"LTAI[A-Za-z0-9]{12,24}\b"),
    _token("digitalocean-token", "_v1_", r"do[opr]_v1_[a-f0-9]{64}"),
    _token("heroku-key", "hrku-", r"HRKU-[A-Za-z0-9_-]{36,80}"),
    _token("fly-token", "fm2_|fo1_", r"(?:fm2|fo1)_[A-Za-z0-9+/=_-]{30,}"),
    _token("databricks-token", "dapi", r"dapi[a-f0-9]{32}(?:-\d)?\b"),
    # Code and packages.
    _token(
        "github-token",
        "ghp_|gho_|ghu_|ghs_|ghr_|github_pat_",
        r"(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{30,255})",
    ),
    _token("gitlab-token", "gl", r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas|ffct)-[A-Za-z0-9_.-]{20,255}"),
    _token("atlassian-token", "atatt3|atctt3|atbb", r"(?:ATATT3|ATCTT3|ATBB)[A-Za-z0-9_=-]{20,300}"),
    _token("npm-token", "npm_", r"npm_[A-Za-z0-9]{36}\b"),
    _token("pypi-token", "pypi-ageichlwas5vcmc", r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{20,}"),
    _token("gem-key", "rubygems_", r"rubygems_[a-f0-9]{48}"),
    _token("docker-token", "dckr_", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}"),
    _token("artifactory-key", "akcp", r"AKCp[A-Za-z0-9]{60,80}\b"),
    _token("terraform-token", ".atlasv1.", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}"),
    _token("pulumi-token", "pul-", r"pul-[a-f0-9]{40}"),
    # Language models.
    _token("model-key", "sk-", r"sk-[A-Za-z0-9_-]{20,}"),
    _token("model-key", "gsk_|xai-|pplx-|r8_|lsv2_", r"(?:gsk_|xai-|pplx-|r8_|lsv2_(?:pt|sk)_)[A-Za-z0-9_]{30,}"),
    _token("huggingface-token", "hf_|api_org_", r"(?:hf|api_org)_[A-Za-z]{34}\b"),
    # Money, mail, messages.
    _token("stripe-key", "_live_|_test_|_prod_", r"(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{10,250}"),
    _token("webhook-secret", "whsec_", r"whsec_[A-Za-z0-9+/=]{20,}"),
    _token("square-token", "sq0|eaaa", r"(?:sq0[a-z]{3}-[A-Za-z0-9_-]{22,43}|EAAA[A-Za-z0-9_-]{60})"),
    _token("shopify-token", "shp", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    _token("sendgrid-key", "sg.", r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}"),
    _token("mail-key", "key-", r"key-[a-f0-9]{32}\b"),
    _token("mail-key", "-us", r"[a-f0-9]{32}-us\d{1,2}\b"),
    _token("twilio-key", "sk", r"SK[a-f0-9]{32}\b"),
    _token("slack-token", "xox|xapp-|xoxe.", r"(?:xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{20,})"),
    _shape(
        "webhook",
        "hooks.slack.com|/api/webhooks/|webhook.office.com",
        r"(?:(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/+-]{8,}|(?<=/api/webhooks/)\d{10,22}/[\w-]{20,}"
        r"|(?<=webhook\.office\.com/)webhookb2/[^\s\"'<>]{20,})",
    ),
    _token("telegram-token", ":aa", r"\d{8,10}:AA[A-Za-z0-9_-]{33}\b"),
    _shape("discord-token", ".", r"(?<![\w.-])[MNO][A-Za-z\d_-]{23,25}\.[\w-]{6}\.[\w-]{27,38}(?![\w.-])"),
    # Watching and running.
    _token("grafana-token", "glsa_|glc_", r"(?:glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}|glc_[A-Za-z0-9+/=]{32,})"),
    _token("sentry-token", "sntry", r"sntry[su]_[A-Za-z0-9+/=_-]{40,}"),
    _token("newrelic-key", "nra", r"NRA[KL]-[A-Z0-9]{20,40}\b"),
    _token("newrelic-key", "ffffnral|nrii-|nrjs-", r"(?:[a-f0-9]{32,36}FFFFNRAL|NR(?:II|JS)-[A-Za-z0-9_-]{15,40})"),
    _token("dynatrace-token", "dt0", r"dt0[a-z]\d{2}\.[A-Z0-9]{24}\.[A-Z0-9]{60,64}"),
    _token("honeycomb-key", "hcaik_|hcbik_|hcxik_", r"hc[abx](?:ik|lk)_[A-Za-z0-9]{20,}"),
    _token("vault-token", "hvs.|hvb.|hvr.", r"hv[sbr]\.[A-Za-z0-9_-]{24,300}"),
    _token("vault-token", "s.", r"s\.(?=[A-Za-z]*\d)[A-Za-z0-9]{24}\b(?![.(])"),
    _token("doppler-token", "dp.", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,80}"),
    # Databases and offices.
    _token("planetscale-token", "pscale_", r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9=._-]{32,64}"),
    _token("supabase-token", "sbp_|sb_secret_", r"(?:sbp_[a-f0-9]{40}|sb_secret_[A-Za-z0-9_-]{20,})"),
    _token("airtable-token", "pat", r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}"),
    _token("notion-token", "ntn_|secret_", r"(?:ntn_[A-Za-z0-9]{40,50}|secret_[A-Za-z0-9]{43})\b"),
    _token("linear-key", "lin_", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,64}"),
    _token("figma-token", "figd_", r"figd_[A-Za-z0-9_-]{30,}"),
    _token("postman-key", "pmak-", r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    _token("okta-token", "ssws ", r"(?<=SSWS )[A-Za-z0-9_-]{20,60}"),
    _token("kubetriage-key", "kt_", r"kt_[A-Za-z0-9_-]{16,}"),
    # A hash can be guessed at: bcrypt, SHA-crypt, yescrypt, Apache's, Argon2 (crypt(5)).
    _shape("password-hash", "$", r"\$(?:2[abxy]|5|6|y|gy|7|apr1|1|argon2(?:id|i|d))\$[A-Za-z0-9./$=,+*-]{20,}"),
    # Parts of URLs, headers and command lines.
    _shape(
        "signature",
        "sig=|signature=|x-amz-|code=",
        r"(?<=[?&;])(?P<kept>(?:sig|signature|x-amz-(?:signature|security-token)|x-goog-signature|code)=)"
        r"[A-Za-z0-9%+/=_.~-]{16,2048}",
        re.IGNORECASE,
    ),
    _shape("signature", "signature=", r"(?<=, )(?P<kept>Signature=)[a-fA-F0-9]{32,128}"),
    _shape("password", "://", r"(?<=://)(?P<kept>[^\s:/@]{0,256}:)(?!\[redacted)[^\s@/]{1,256}(?=@)"),
    _shape("token", "://", r"(?<=://)(?=[^\s/@]{0,64}\d)[A-Za-z0-9_~-]{20,256}(?=@)"),
    _shape("password", "@tcp(|@unix(", r"(?<![\w.-])(?P<kept>[\w.-]{1,64}+:)[^\s@/]{1,256}(?=@(?:tcp|unix)\()"),
    _shape("password", "jdbc:oracle:", r"(?P<kept>jdbc:oracle:\w{1,10}:[\w.-]{1,64}/)[^\s@]{1,128}(?=@)"),
    _shape("password", " -u|--user", r"(?<=\s)(?P<kept>(?:-u|--user)[ =]?[\"']?[\w.@-]{1,64}:)[^\s\"']{3,256}"),
    _shape(
        "password",
        "mysql|mariadb|sshpass|redis-cli|login ",
        r"(?P<kept>\b(?:mysql\w{0,16}|mariadb[\w-]{0,16}|sshpass|redis-cli|(?:docker|podman|helm registry|az|oc) login)"
        r"\b[^\n|;]{0,200}?\s(?:-p|-a)[ ]?)(?![\s-])[\"']?[^\s\"']{3,256}",
    ),
    _shape("password", "login ", r"(?P<kept>\blogin \S{1,100} password )[^\s\"']{3,256}"),
    _shape("password", "identified by", r"(?P<kept>\bidentified by )['\"]?[^\s'\";]{3,256}", re.IGNORECASE),
    _shape("authorization", '"auth"', r'(?P<kept>"auth"\s{0,4}:\s{0,4}")[A-Za-z0-9+/=]{8,4096}'),
    # Not "bearer authentication" or "Basic auth failed": a lone word is prose.
    _shape(
        "authorization",
        "bearer |basic ",
        r"(?P<kept>\b(?i:bearer|basic) )"
        r"(?![\w.-]{1,60}=\w|(?:[a-z][a-z-]{0,18}|[A-Z][a-z]{0,18})(?![\w.~+/=-]))[\w.~+/=-]{8,}",
    ),
    _shape(
        "authorization",
        "authorization",
        r"(?P<kept>\bauthorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:token|apikey|key|ssws|negotiate) )[\w.~+/=-]{8,}",
        re.IGNORECASE,
    ),
    _shape("cookie", "cookie: ", r"(?P<kept>(?<![\w-])cookie: )[^\r\n\"'\\]{4,4096}", re.IGNORECASE),
    _shape("cookie", "set-cookie: ", r"(?P<kept>\bset-cookie: [\w.-]{1,64}=)[^\s;\"'\\]{4,4096}", re.IGNORECASE),
)


def _hints_by_mark() -> dict[str, list[tuple[str, int]]]:
    """(hint, number of its shape) by a sign of the hint that is no letter or digit: a text without the sign, as an
    id is, needs no look at those hints."""
    found: dict[str, list[tuple[str, int]]] = {}
    for number, shape in enumerate(SHAPES):
        for hint in shape.hints:
            mark = next((character for character in hint if not character.isalnum()), "")
            found.setdefault(mark, []).append((hint, number))
    return found


_HINTS = _hints_by_mark()
_KEPT = ("", r"\g<kept>")
_REPLACEMENTS = tuple(f"{_KEPT['kept' in shape.pattern.groupindex]}[redacted {shape.what}]" for shape in SHAPES)


def replace_shapes(text: str) -> str:
    """The text with each secret that has a shape replaced by ``[redacted <what>]``."""
    lowered = text.lower()
    for mark, hints in _HINTS.items():
        if mark in lowered:
            for number in dict.fromkeys([number for hint, number in hints if hint in lowered]):
                text = SHAPES[number].pattern.sub(_REPLACEMENTS[number], text)
    return text
