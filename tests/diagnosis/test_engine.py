"""What holds for every diagnosis, whatever was read."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubetriage.contracts.diagnosis import Scope
from kubetriage.diagnosis import CAUSES, resources_needed
from tests.diagnosis.build import causes, diagnosed, snapshot
from tests.diagnosis.test_faults import FAULTS, HEALTHY

ENGINE = Path(__file__).resolve().parents[2] / "kubetriage" / "diagnosis"
KINDS = sorted(resource.plural for resource in resources_needed(Scope()))


@pytest.mark.parametrize("name", FAULTS)
def test_the_order_of_lists_does_not_matter(name: str) -> None:
    build, cause, target = FAULTS[name]
    items: list[Any] = build()
    random.Random(7).shuffle(items)
    assert causes(diagnosed(*items))[:1] == [(cause, target)]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted({**FAULTS, **HEALTHY})), st.sets(st.sampled_from(KINDS)))
def test_no_hole_in_what_may_be_read_makes_a_rule_fail_or_guess(name: str, unread: set[str]) -> None:
    build = FAULTS[name][0] if name in FAULTS else HEALTHY[name]
    items = [item for item in build() if _plural(item) not in unread]
    diagnosis = diagnosed(*items, unread=tuple(sorted(unread)))
    if name in HEALTHY:
        assert causes(diagnosis) == []


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(FAULTS)), st.randoms(use_true_random=False))
def test_missing_optional_fields_never_raise(name: str, chance: random.Random) -> None:
    items = [_thinned(item, chance) for item in FAULTS[name][0]()]
    diagnosed(*items)


def test_every_cause_in_a_rule_is_registered_and_none_is_an_orphan_of_its_runbook_name() -> None:
    for cause in CAUSES.values():
        assert re.fullmatch(r"[a-z][a-z-]+\.md", cause.runbook), cause


def test_an_incident_keeps_its_identity_over_repeated_diagnoses() -> None:
    first, second = (diagnosed(*FAULTS["oom"][0]()) for _ in range(2))
    assert first.incidents[0].id == second.incidents[0].id


def test_a_diagnosis_counts_what_was_read() -> None:
    items = HEALTHY["everything-well"]()
    assert diagnosed(*items).objects_read == snapshot(*items).count()


def test_no_rule_knows_an_application_or_the_benchmark() -> None:
    names = re.compile(
        r"boutique|train-?ticket|redis-cart|checkoutservice|\bts-[a-z]+-service\"|opsbench", re.IGNORECASE
    )
    for path in ENGINE.rglob("*.py"):
        code = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
        code = re.sub(r'"""[\s\S]*?"""', "", code)
        assert not names.search(code), path


def _plural(item: Any) -> str:
    kind = item["kind"] if isinstance(item, dict) else item[0]["kind"]
    return {"Endpoints": "endpoints", "Ingress": "ingresses", "NetworkPolicy": "networkpolicies"}.get(
        kind, f"{kind.lower()}s"
    )


def _thinned(value: Any, chance: random.Random, depth: int = 0) -> Any:
    """The object without about a tenth of its optional fields; names, kinds and owners stay."""
    keep = {"kind", "metadata", "name", "namespace", "uid", "involvedObject", "spec"}
    if isinstance(value, dict):
        return {
            key: _thinned(entry, chance, depth + 1)
            for key, entry in value.items()
            if key in keep or chance.random() > 0.1
        }
    return [_thinned(entry, chance, depth + 1) for entry in value] if isinstance(value, list) else value
