"""What counts as a claim of an answer, and what counts as shown by a tool. Plain data."""

from __future__ import annotations

import pytest

from agent_service.claims import find_claims
from agent_service.grounding import Told, ground, note_of, told_by, with_claims
from kubetriage.contracts.api import Source

DIAGNOSIS = told_by(
    "diagnose",
    "incident 1: payments is OOMKilled\n  root cause object: shop/deployment/payments",
    {
        "diagnosis": {
            "limit": "64Mi",
            "pods": ["payments-556896b5fb-96x7l"],
            "exit": 137,
            "image": "registry.example/shop/payments:4.1.0",
            "fix": "kubectl -n shop set resources deployment/payments -c app --limits=memory=256Mi",
            "quote": 'Readiness probe failed: Get "http://10.0.0.7:8080/ready": connection refused',
        }
    },
)


@pytest.mark.parametrize(
    ("answer", "unverified"),
    [
        ("Pod `payments-556896b5fb-96x7l` was killed.", []),
        ("Pod `payments-556896b5fb-zzzzz` was killed.", ["payments-556896b5fb-zzzzz"]),
        ("Look at pods payments-556896b5fb-qqqqq.", ["payments-556896b5fb-qqqqq"]),
        ("deployment/payments, Deployment/billing", ["Deployment/billing"]),
        ("The `billing` service is down.", ["billing"]),
        ("It is in namespace `shop` on node worker-17.", ["worker-17"]),
        ("It runs registry.example/shop/payments:4.1.0.", []),
        ("It runs registry.example/shop/payments:9.9.9.", ["registry.example/shop/payments:9.9.9"]),
        ("The limit is 64Mi, exit code 137.", []),
        ("The limit is 128Mi, exit code 143.", ["128Mi", "exit code 143"]),
        ("CPU is at 93% since 45 minutes.", ["93%", "45 minutes"]),
        ('It says "Readiness probe failed: Get "http://10.0.0.7:8080/ready"".', []),
        ('It says "readiness probe failed: ... connection refused".', []),
        ('It says "disk pressure on the node".', ["disk pressure on the node"]),
        ("The log has `panic: out of range in main` in it.", ["panic: out of range in main"]),
        ("`kubectl -n shop set resources deployment/payments -c app --limits=memory=256Mi`", []),
        ("`kubectl -n shop delete deployment payments`", ["kubectl -n shop delete deployment payments"]),
        (
            "```sh\n$ kubectl -n shop rollout undo deployment/payments\n```",
            ["kubectl -n shop rollout undo deployment/payments"],
        ),
        ("`kubectl -n shop describe deployment payments`", []),
        ("`kubectl logs -n shop deploy/payments --previous -c <container>`", []),
        ("`kubectl -n prod get pods`", ["kubectl -n prod get pods"]),
        ("`kubectl rollout status deployment/payments -n shop`", []),
    ],
)
def test_claims_are_looked_up(answer: str, unverified: list[str]) -> None:
    assert list(ground(answer, [DIAGNOSIS]).unverified) == unverified


@pytest.mark.parametrize(
    "answer",
    [
        "Raise the limit to 512Mi, or at least about 300Mi.",
        "Readiness/liveness probes and CPU/memory limits matter; a pod anti-affinity or node-selector may too.",
        "Events come from the service/endpoint controller; `get` and `list` are needed.",
        "No fault found. Everything that could be read is healthy (as of 2026-11-23T12:00:00Z).",
        'The "crash loop" is a symptom, "not a cause".',
        "```yaml\nresources:\n  limits:\n    memory: 512Mi\n```",
        "The pod was restarted several times, the Deployment is fine, and a pod's memory is bounded.",
        "See runbook oom-killed.md, section 2.1, version 1.35.",
    ],
)
def test_advice_and_prose_are_no_claims(answer: str) -> None:
    assert ground(answer, [DIAGNOSIS]).unverified == ()


def test_what_the_question_says_is_no_invention() -> None:
    assert ground("There is no deployment `billing`.", [DIAGNOSIS], "why is billing down?").unverified == ()
    assert ground("There is no deployment `billing`.", [DIAGNOSIS], "why?").unverified == ("billing",)


def test_without_any_tool_nothing_is_shown() -> None:
    assert ground("Pod `web-0` uses 3Gi.", []).unverified == ("web-0", "3Gi")
    assert [claim.kind for claim in find_claims("Pod `web-0` uses 3Gi.")] == ["object", "number"]


def test_each_claim_is_held_by_the_source_that_shows_it() -> None:
    field = Source(kind="object", title="pod/payments-556896b5fb-96x7l", where="limits.memory", quote="64Mi")
    found = ground("payments-556896b5fb-96x7l has 64Mi, exit code 137.", [Told("list_resources", "64Mi"), DIAGNOSIS])
    first, second = with_claims([field], found)
    assert first.claims == ("payments-556896b5fb-96x7l", "64Mi")
    assert (second.kind, second.title, second.claims) == ("tool", "diagnose", ("exit code 137",))


def test_the_note_lists_a_few_and_counts_the_rest() -> None:
    assert note_of([]) == ""
    assert note_of([f"n{n}" for n in range(12)]).endswith("`n9` and 2 more.")
