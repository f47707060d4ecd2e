"""Tokens of technical text: an identifier counts as a whole and by its parts.

``KubePodCrashLooping`` is found by "crash looping" and by itself; measured as the largest single gain
in runbook search (docs/retrieval.md).
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]*[A-Za-z0-9]|[A-Za-z0-9]")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]+|[a-z]+|\d+")
_STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "just",
        "me",
        "more",
        "my",
        "no",
        "not",
        "of",
        "on",
        "or",
        "our",
        "please",
        "should",
        "so",
        "some",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "up",
        "us",
        "very",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)
# Kubernetes' own short names, both ways round: a person writes one, a runbook the other.
_SAME = {
    "pvc": "persistentvolumeclaim", "pv": "persistentvolume", "hpa": "horizontalpodautoscaler", "svc": "service",
    "pdb": "poddisruptionbudget", "cm": "configmap", "sa": "serviceaccount", "ns": "namespace", "deploy": "deployment",
    "sts": "statefulset", "ds": "daemonset", "rs": "replicaset", "ing": "ingress", "netpol": "networkpolicy",
    "k8s": "kubernetes", "oom": "memory", "oomkilled": "memory", "cert": "certificate",
    "crd": "customresourcedefinition",
}  # fmt: skip
# Plain words to Kubernetes' words; they count half, since they may mean something else.
_LAY = {
    "machine": "node", "server": "node", "host": "node", "ram": "memory", "disk": "volume", "storage": "volume",
    "restarting": "crashloop", "restarts": "crashloop", "dies": "crash", "died": "crash", "crashing": "crashloop",
    "slow": "latency", "password": "credentials", "login": "credentials", "permission": "rbac", "allowed": "forbidden",
    "full": "space", "unreachable": "notready", "download": "pull", "stuck": "pending", "website": "ingress",
    "url": "ingress", "reach": "connect", "connect": "connection", "dns": "coredns", "resolve": "dns",
    "evicted": "eviction", "killed": "oom", "expired": "certificate", "limit": "quota", "scale": "autoscaler",
}  # fmt: skip


def tokenize(text: str) -> list[str]:
    """Lower-case stems of the words, identifiers whole and in parts, without stop words."""
    found: list[str] = []
    for word in _WORD.findall(text):
        parts = _HUMP.findall(word)
        whole = re.sub(r"[^a-z0-9]", "", word.lower())
        if len(parts) > 1:
            found.append(whole)
        for part in parts or [whole]:
            lower = part.lower()
            if lower not in _STOP:
                found.append(stem(lower))
                if lower in _SAME:
                    found.append(_SAME[lower])
    return found


def expand(query: str) -> list[str]:
    """Further tokens for a query in plain words."""
    return [stem(_LAY[word]) for word in re.findall(r"[a-z]+", query.lower()) if word in _LAY]


def stem(word: str) -> str:
    """Six endings: enough for English nouns and verbs in runbooks; a real stemmer gains nothing more."""
    for ending, keep in (("ings", 4), ("ing", 4), ("ies", 3), ("ed", 4), ("es", 4), ("s", 3)):
        if word.endswith(ending) and len(word) - len(ending) >= keep and not word.endswith("ss"):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word
