"""A memory limit that is not the workload's own: somebody set it when the pod was made."""

from __future__ import annotations

from typing import Any

from kubetriage.contracts.diagnosis import Finding
from tests.diagnosis.build import at, container, deployment, diagnosed, pod, status


def limited(amount: str | None) -> dict[str, Any]:
    return container(resources={"limits": {"memory": amount}} if amount else {})


def killed(*, pods: str, template: str | None) -> Finding:
    """A pod with one limit, made from a template with another."""
    end = {"reason": "OOMKilled", "exitCode": 137, "startedAt": at(3), "finishedAt": at(1)}
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    item = pod(
        containers=[limited(pods)],
        statuses=[status(ready=False, restarts=4, state=state, lastState={"terminated": end})],
    )
    found = diagnosed(*deployment(available=0, containers=[limited(template)]), item)
    assert found.incidents[0].root_cause.cause == "oom_killed"
    return found.incidents[0].root_cause


def test_a_limit_that_the_template_does_not_have_is_told_with_who_may_have_set_it() -> None:
    cause = killed(pods="32Mi", template="256Mi")
    assert "it was set when the pod was made" in cause.explanation
    assert ("replicaset/payments-6f", "256Mi") in [(one.source.short, one.quote) for one in cause.evidence]
    assert "mutatingwebhookconfigurations" in (cause.remediation[1].command or "")
    assert "it was set when the pod was made" in killed(pods="32Mi", template=None).explanation


def test_a_limit_of_the_templates_own_is_raised_there() -> None:
    cause = killed(pods="64Mi", template="64Mi")
    assert "it was set" not in cause.explanation
    assert "--limits=memory=128Mi" in (cause.remediation[1].command or "")
