"""Values that their names give away, wherever text pairs the two: ``password=...``, YAML, JSON, flags, XML. Pure."""

from __future__ import annotations

import re

from kubetriage.safety.secret_names import is_secret_name

VALUE = "[redacted value]"
# A name that may be a secret's, what separates it, and its value: quoted, quoted within JSON, or bare. The name's
# beginning is looked for backwards, from the fragment that gives it away.
_PAIR = re.compile(
    r"""(?P<name>(?:pass|pwd|secret|token|key|cred|authorization|cookie|jwt)[\w.-]{0,60}+)"""
    r"""(?P<between>\\?["'`]?[ \t]{0,40}(?::=|=>|[:=])[ \t]{0,40})"""
    r"""(?:(?P<open>\\"|["'])(?P<quoted>(?:(?!(?P=open))[^\n]){1,2048})(?P=open)"""
    r"""|(?P<half>\\?["'`]?)(?P<bare>(?<==)[^\s"'`,;&\\]{3,2048}|[^\s"'`,;&}\\]{3,2048}))""",
    re.IGNORECASE,
)
# The same where a line holds nothing else, as in an env dump or YAML: there a value may hold any character.
_LINE = re.compile(
    r"""^(?P<before>[ \t]*(?:- |export |ENV |set )?["']?(?P<name>[A-Za-z_][\w.-]{2,100})["']?[ \t]*[:=][ \t]*)"""
    r"""(?P<value>[^\s"'\[{|>&*][^\s]{2,2047})[ \t]*$""",
    re.MULTILINE,
)
_BLOCK = re.compile(  # a YAML block scalar: the value is on the following, deeper lines
    r"^(?P<before>(?P<indent>[ \t]*)(?:- )?[\"']?(?P<name>[A-Za-z_][\w.-]{2,100})[\"']?:[ \t]*[|>][+-]?[ \t]*\n)"
    r"(?P<value>(?:(?P=indent)[ \t]+\S[^\n]*\n?){1,200})",
    re.MULTILINE,
)
# An environment variable as YAML or JSON: its name and its value are two fields.
_VARIABLE = re.compile(
    r"""(?P<before>\bname\\?["']?[ \t]*:[ \t]*\\?["']?(?P<name>[A-Za-z_][\w.-]{2,100})\\?["']?,?\s{0,80}\\?["']?"""
    r"""value\\?["']?[ \t]*:[ \t]*)"""
    r"""(?P<value>"[^"\n]{1,2048}"|'[^'\n]{1,2048}'|\\"[^"\n]{1,2048}\\"|[^\s"',}]{3,2048})"""
)
_FLAG = re.compile(
    r"(?P<before>(?<!\S)--?(?P<name>[A-Za-z][\w.-]{2,60})[ \t]+)(?P<value>[\"']?[^\s\"'-][^\s\"']{2,512})"
)
_ELEMENT = re.compile(r"(?P<before><(?P<name>[A-Za-z][\w.:-]{2,60})>)(?P<value>[^<>\n]{3,2048})(?=</)")
_AROUND_NAMES = (
    (_LINE, ("=", ":")),
    (_BLOCK, ("|", ">")),
    (_VARIABLE, ("value",)),
    (_FLAG, ("--", " -")),
    (_ELEMENT, ("</",)),
)
# The data of a Secret's manifest, as YAML or as JSON.
_SECRET_KIND = re.compile(r"^[ \t]*kind:[ \t]*[\"']?Secret[\"']?[ \t]*$", re.MULTILINE)
_SECRET_DATA = re.compile(
    r"^(?P<before>(?P<indent>[ \t]*)(?:data|stringData):[ \t]*\n)(?P<data>(?:(?P=indent)[ \t]+\S[^\n]*\n?){1,500})",
    re.MULTILINE,
)
_JSON_SECRET_KIND = re.compile(r"\\?\"kind\\?\"[ \t]*:[ \t]*\\?\"Secret\\?\"")
_JSON_SECRET_DATA = re.compile(
    r"(?P<before>\\?\"(?:data|stringData)\\?\"[ \t]*:[ \t]*\{)(?P<data>[^{}\n]{2,16384})(?=\})"
)
_JSON_ENTRY = re.compile(r"(:[ \t]*)(\\?\")(?:(?!\2).){1,8192}\2")
_FRAGMENTS = ("pass", "pwd", "secret", "token", "key", "cred", "authorization", "cookie", "jwt")
_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
# References to secrets are names of objects, and needed; paths, URLs (whose own secrets have shapes), placeholders
# and what a program says of a token are no secrets.
_HARMLESS = re.compile(
    r"(?:null|none|nil|true|false|yes|no|unset|expired|invalid|missing|required|unknown|denied|incorrect|mismatch"
    r"|unauthorized|basic|bearer|digest|negotiate|aws4-hmac-sha256|\d{1,4}(?:\.\d+)?|%\w|\*+|x+"
    r"|\(.*\)|<.*>|\$\{?.*|\{\{.*|\[.*|/.*|\.{1,2}/.*|[a-z][a-z0-9+.-]{1,20}://.*)",
    re.IGNORECASE | re.DOTALL,
)
_REFERENCE = re.compile(r"[a-z0-9-]+/[a-z0-9.-]+")  # namespace/name, as klog writes of a Secret
# "token: expired at noon": prose, not credentials.
_PROSE = re.compile(r"[a-z][a-z-]{0,18}|[A-Z][a-z]{0,18}")


def replace_named_values(text: str) -> str:
    """The text with the value of each secret's name replaced."""
    if not ("=" in text or ":" in text or "-" in text or "<" in text):
        return text  # nothing between a name and a value
    lowered = text.lower()
    if not any(hint in lowered for hint in _FRAGMENTS):
        return text
    if "secret" in lowered:
        text = _without_manifests(text)
    for pattern, hints in _AROUND_NAMES:
        if any(hint in text for hint in hints):
            text = pattern.sub(_value, text)
    return _PAIR.sub(_pair, text)


def _value(match: re.Match[str]) -> str:
    value = match["value"].strip().strip("\"'\\")
    if not is_secret_name(match["name"]) or not is_secret_value(value) or _is_reference(match["name"], value):
        return match[0]
    ending = "\n" if match["value"].endswith("\n") else ""
    indent = re.match(r"[ \t]*", match["value"])
    return f"{match['before']}{indent[0] if indent else ''}{VALUE}{ending}"


def _pair(match: re.Match[str]) -> str:
    before = match.string[max(0, match.start() - 80) : match.start()]
    name = before[len(before.rstrip(_NAME_CHARACTERS)) :] + match["name"]
    value = match["quoted"] or match["bare"].rstrip(").,]")
    if not is_secret_name(name) or not is_secret_value(value) or _is_reference(name, value):
        return match[0]
    opening, closing = (match["open"],) * 2 if match["quoted"] else (match["half"], match["bare"][len(value) :])
    after = match.string[match.end() : match.end() + 2]
    spoken = match["between"].endswith(": ") and opening in {"", "`"} and _PROSE.fullmatch(value)
    if spoken and re.match(r" \w", after):
        return match[0]
    return f"{match['name']}{match['between']}{opening}{VALUE}{closing}"


def is_secret_value(value: str) -> bool:
    """Whether what stands beside a secret's name can be the secret itself.

    A file under a telling key (``password-policy.yaml``) has been redacted line by line already.
    """
    return bool(value) and "\n" not in value and not value.startswith("[redacted") and not _HARMLESS.fullmatch(value)


def _is_reference(name: str, value: str) -> bool:
    return name.strip("-_.").lower() in {"secret", "secrets"} and _REFERENCE.fullmatch(value) is not None


def _without_manifests(text: str) -> str:
    """Manifests of Secrets keep the names of their entries and lose the values."""
    if _SECRET_KIND.search(text):
        documents = re.split(r"(?m)^(---[^\n]*\n)", text)
        text = "".join(
            _SECRET_DATA.sub(_entries, document) if _SECRET_KIND.search(document) else document
            for document in documents
        )
    if _JSON_SECRET_KIND.search(text):
        text = _JSON_SECRET_DATA.sub(
            lambda match: match["before"] + _JSON_ENTRY.sub(rf"\1\2{VALUE}\2", match["data"]), text
        )
    return text


def _entries(match: re.Match[str]) -> str:
    entries = re.sub(r"(?m)^([ \t]+[\"']?[\w.-]{1,253}[\"']?:[ \t]*)(?![|>])\S[^\n]*$", rf"\1{VALUE}", match["data"])
    # What is deeper than a key is the block scalar of one.
    return match["before"] + re.sub(r"(?m)^([ \t]+)(?![\"']?[\w.-]{1,253}[\"']?:)\S[^\n]*$", rf"\1{VALUE}", entries)
