"""What is not there is never answered with "no fault found"."""

from __future__ import annotations

import pytest

from kubetriage.contracts.diagnosis import Diagnosis, Outcome, Scope
from kubetriage.diagnosis import diagnose
from tests.diagnosis.build import NAMESPACE, deployment, meta, node, snapshot


def asked(
    namespace: str | None = NAMESPACE, kind: str | None = None, name: str | None = None, unread: tuple[str, ...] = ()
) -> Diagnosis:
    everything = {
        "namespaces": {"kind": "Namespace", "metadata": meta(NAMESPACE, None), "status": {"phase": "Active"}},
        "nodes": node("node-1"),
        "deployments": deployment("checkout"),
    }
    there = [item for plural, item in everything.items() if plural not in unread]
    return diagnose(snapshot(*there, unread=unread), Scope(namespace=namespace, kind=kind, name=name))


@pytest.mark.parametrize("kind", ["deployment", "Deployment", "deployments", "deployments.apps", "deploy", None])
def test_an_object_that_is_there_and_well_has_no_fault(kind: str | None) -> None:
    assert asked(kind=kind, name="checkout").outcome is Outcome.NO_FAULT_FOUND


@pytest.mark.parametrize("kind", ["deployment", "deploy", None])
def test_a_misspelt_object_names_the_nearest(kind: str | None) -> None:
    diagnosis = asked(kind=kind, name="chekout")
    assert diagnosis.outcome is Outcome.INCONCLUSIVE
    assert diagnosis.summary.startswith(f"there is no {kind or 'object'}/chekout in namespace {NAMESPACE}")
    assert "did you mean checkout" in diagnosis.summary


def test_another_kind_of_the_same_name_is_not_the_object() -> None:
    assert asked(kind="service", name="checkout").outcome is Outcome.INCONCLUSIVE


def test_an_object_in_another_namespace_is_not_there() -> None:
    assert asked("elsewhere", kind="deployment", name="checkout").outcome is Outcome.INCONCLUSIVE


def test_a_misspelt_namespace_names_the_nearest() -> None:
    diagnosis = asked(NAMESPACE + "s")
    assert diagnosis.outcome is Outcome.INCONCLUSIVE
    assert diagnosis.summary == f"there is no namespace {NAMESPACE}s; did you mean {NAMESPACE}?"


def test_without_the_list_of_namespaces_nothing_is_said_to_be_missing() -> None:
    assert asked("elsewhere", unread=("namespaces",)).outcome is Outcome.NO_FAULT_FOUND


@pytest.mark.parametrize("kind", ["deployment", "widget"])
def test_a_kind_that_was_not_read_cannot_be_told(kind: str) -> None:
    diagnosis = asked(kind=kind, name="checkout", unread=("deployments",))
    assert diagnosis.outcome is Outcome.INCONCLUSIVE
    assert "were not read" in diagnosis.summary


def test_a_cluster_wide_object_is_there_whatever_the_namespace() -> None:
    assert asked(kind="node", name="node-1").outcome is Outcome.NO_FAULT_FOUND
