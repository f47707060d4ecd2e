"""What other systems refuse: rights of the ServiceAccount, and TLS certificates. Told by log lines."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kubetriage.contracts.diagnosis import Remediation, Severity
from kubetriage.diagnosis import quotes
from kubetriage.diagnosis.containers import ContainerRun, cached_hits, find_runs
from kubetriage.diagnosis.logs import LogHit, Symptom
from kubetriage.diagnosis.rule import rule
from kubetriage.diagnosis.suspect import Suspect, suspect
from kubetriage.diagnosis.view import ClusterView
from kubetriage.state.objects import ref_of

_READS = ("pods", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs")
_DENIED = re.compile(
    r"system:serviceaccount:(?P<namespace>[^:\"]+):(?P<account>[^\"\s]+)\"? cannot (?P<verb>\w+) resource "
    r"\"(?P<resource>[^\"]+)\"",
)
_CAUSES = {
    Symptom.FORBIDDEN: ("access_denied", "lacks a right in the cluster"),
    Symptom.CERTIFICATE_EXPIRED: ("certificate_expired", "meets an expired certificate"),
    Symptom.CERTIFICATE_UNTRUSTED: ("certificate_untrusted", "meets a certificate that it does not trust"),
}


@rule(*_READS)
def find_refusals(view: ClusterView) -> Iterable[Suspect]:
    """In trouble with such a line, or healthy with such lines until the end of the log."""
    for run in find_runs(view):
        for previous in (True, False):
            log = view.log(run.pod, run.name, previous=previous)
            if log is None or (previous and run.ready):
                continue
            for hit in cached_hits(log.text):
                lasting = hit.count >= 3 and hit.position >= 0.8
                if hit.symptom in _CAUSES and (not run.ready or lasting):
                    yield _refused(view, run, hit, previous=previous)


def _refused(view: ClusterView, run: ContainerRun, hit: LogHit, *, previous: bool) -> Suspect:
    cause, what = _CAUSES[hit.symptom]
    workload, pod = view.workload_of(run.pod), ref_of("Pod", run.pod)
    return suspect(
        cause,
        workload,
        title=f"{workload.name} {what}",
        explanation=f"{workload.short}: {quotes.shorten(hit.line, 240)}",
        evidence=[quotes.log_line(pod, run.name, hit.line, previous=previous, time=hit.time)],
        remediation=_steps(view, run, hit),
        severity=Severity.HIGH if run.ready else Severity.CRITICAL,
        confidence=0.92,
    )


def _steps(view: ClusterView, run: ContainerRun, hit: LogHit) -> list[Remediation]:
    workload = view.workload_of(run.pod)
    denied = _DENIED.search(hit.line)
    if denied is not None:
        user = f"system:serviceaccount:{denied['namespace']}:{denied['account']}"
        verb, resource, namespace = denied["verb"], denied["resource"], workload.namespace
        name = f"{denied['account']}-{resource}"
        return [
            quotes.look("See it refused", quotes.kubectl(namespace, f"auth can-i {verb} {resource} --as={user}")),
            quotes.change(
                f"Grant exactly {verb} on {resource}",
                quotes.kubectl(namespace, f"create role {name} --verb={verb} --resource={resource}"),
            ),
            quotes.change(
                "and bind it",
                quotes.kubectl(
                    namespace,
                    f"create rolebinding {name} --role={name} "
                    f"--serviceaccount={denied['namespace']}:{denied['account']}",
                ),
            ),
        ]
    renew = "Renew the certificate that the peer presents"
    trust = "Give the program the CA that signed it, or a certificate with the right name"
    return [
        quotes.look("Read the log", quotes.kubectl(workload.namespace, f"logs {workload.short} --tail=50")),
        quotes.change(renew if hit.symptom is Symptom.CERTIFICATE_EXPIRED else trust),
    ]


RULES = (find_refusals,)
