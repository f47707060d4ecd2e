"""Mutes: what they cover, when they end, and what is refused."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetriage.contracts.diagnosis import Outcome
from kubetriage.diagnosis.documents import DocumentError
from kubetriage.diagnosis.mutes import apply_mutes, parse_mutes
from tests.diagnosis.test_baseline import diagnosis, finding, gap, incident, ref

TODAY = date(2026, 11, 23)
ENTRY = """
mutes:
  - cause: oom_killed
    object: deployment/pay*
    namespace: shop
    reason: OPS-412
    until: 2026-12-31
"""


def test_a_muted_incident_is_set_apart_and_no_fault() -> None:
    found, warnings = apply_mutes(diagnosis(incident()), parse_mutes(ENTRY, today=TODAY), today=TODAY)
    assert warnings == []
    assert found.incidents == ()
    assert (found.outcome, found.summary) == (
        Outcome.NO_FAULT_FOUND,
        "no fault found in the cluster besides 1 muted incident",
    )
    assert [(entry.reason, entry.until) for entry in found.muted] == [("OPS-412", date(2026, 12, 31))]


def test_what_is_left_is_ranked_and_summarised_anew() -> None:
    whole = diagnosis(incident(), incident(finding("image_not_found")))
    found, _ = apply_mutes(whole, parse_mutes(ENTRY, today=TODAY), today=TODAY)
    assert [(entry.rank, entry.root_cause.cause) for entry in found.incidents] == [(1, "image_not_found")]
    assert found.summary == "payments: image_not_found"


def test_muted_and_blind_is_inconclusive() -> None:
    blind = diagnosis(incident(), unreadable=(gap("pods", "data"),))
    found, _ = apply_mutes(blind, parse_mutes(ENTRY, today=TODAY), today=TODAY)
    assert found.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("change", "muted"),
    [
        (("shop", "sh*"), True),
        (("shop", "data"), False),
        (("deployment/pay*", "Deployment/payments"), True),
        (("deployment/pay*", "'*/payments'"), True),
        (("deployment/pay*", "deployment/pay"), False),
        (("deployment/pay*", "statefulset/pay*"), False),
        (("oom_killed", "image_not_found"), False),
    ],
)
def test_what_a_mute_covers(change: tuple[str, str], muted: bool) -> None:
    mutes = parse_mutes(ENTRY.replace(*change), today=TODAY)
    assert bool(apply_mutes(diagnosis(incident()), mutes, today=TODAY)[0].muted) is muted


def test_a_namespace_does_not_cover_what_is_in_none() -> None:
    text = "mutes: [{cause: node_not_ready, namespace: '*', reason: x, until: 2026-12-31}]"
    node = diagnosis(incident(finding("node_not_ready", ref("Node", "node-1", None))))
    assert not apply_mutes(node, parse_mutes(text, today=TODAY), today=TODAY)[0].muted
    anywhere = text.replace("namespace: '*', ", "")
    assert apply_mutes(node, parse_mutes(anywhere, today=TODAY), today=TODAY)[0].muted


def test_the_last_day_counts_and_the_day_after_is_a_warning() -> None:
    mutes = parse_mutes(ENTRY, today=TODAY)
    assert apply_mutes(diagnosis(incident()), mutes, today=date(2026, 12, 31))[0].muted
    found, warnings = apply_mutes(diagnosis(incident()), mutes, today=date(2027, 1, 1))
    assert (found.muted, found.outcome) == ((), Outcome.FAULT_FOUND)
    assert len(warnings) == 1
    assert "2026-12-31" in warnings[0]
    assert "line 3" in warnings[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("oom_killed", "oom_kill"), "line 3: no cause 'oom_kill'; did you mean oom_killed"),
        (("reason:", "because:"), "line 6: unknown key 'because'"),
        (("    reason: OPS-412\n", ""), "line 3: reason is missing"),
        (("reason: OPS-412", "reason: ''"), "line 6: reason must be a text"),
        (("2026-12-31", "2027-12-31"), "line 7: until 2027-12-31 is more than a year ahead"),
        (("2026-12-31", "tomorrow"), "line 7: until must be a date"),
        (("2026-12-31", "2026-12-31T10:00:00Z"), "line 7: until must be a date"),
        (("2026-12-31", "2026-13-45"), "no valid YAML"),
        (("deployment/pay*", "*/payments"), "line 4: no valid YAML: aliases are not allowed; a text that begins"),
        (("deployment/pay*", "payments"), "line 4: object must be kind/name"),
        (("mutes:", "mute:"), "line 2: unknown key 'mute'"),
        (("namespace: shop", "cause: oom_killed"), "line 5: 'cause' comes twice"),
        (("OPS-412", "[unclosed"), "line"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(change: tuple[str, str], message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_mutes(ENTRY.replace(*change), today=TODAY)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "mutes:\n", "mutes: []\n"])
def test_an_empty_file_mutes_nothing(text: str) -> None:
    assert parse_mutes(text, today=TODAY) == ()


def test_an_own_cause_can_be_muted() -> None:
    text = ENTRY.replace("oom_killed", "acme_label")
    assert parse_mutes(text, today=TODAY, own_causes=["acme_label"])[0].cause == "acme_label"


def test_aliases_are_refused() -> None:
    with pytest.raises(DocumentError, match=r"line 2: .*aliases"):
        parse_mutes("a: &a [x, x]\nb: *a\n", today=TODAY)


@given(st.text(alphabet="mutescareonil_k:-*&!{}[]'\"\n 0129#|>%@`,?", max_size=80) | st.text(max_size=60))
def test_nothing_but_its_own_error_is_raised(text: str) -> None:
    try:
        parse_mutes(f"mutes:{text}", today=TODAY)
        parse_mutes(text, today=TODAY)
    except DocumentError:
        pass
