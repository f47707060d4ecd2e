"""The bundled runbooks keep what the registry of causes promises."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any

import pytest
import yaml

from kubetriage.contracts.api import SearchRequest
from kubetriage.diagnosis import CAUSES
from kubetriage.retrieval.searcher import bundled_folder, open_bundled

FOLDER = bundled_folder()
FILES = sorted(path.name for path in FOLDER.glob("*.md"))
OWN = {name for name in FILES if name.startswith("kubetriage-")}  # of the product itself: for its own alerts


def front_matter(name: str) -> dict[str, Any]:
    about: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text().split("---\n")[1])
    return about


def test_every_cause_has_its_runbook_and_no_runbook_is_an_orphan() -> None:
    assert set(FILES) - OWN == {cause.runbook for cause in CAUSES.values()}


@pytest.mark.parametrize("name", FILES)
def test_a_runbook_says_what_it_is_for(name: str) -> None:
    text, about = (FOLDER / name).read_text(), front_matter(name)
    assert sorted(about["causes"]) == sorted(code for code, cause in CAUSES.items() if cause.runbook == name)
    assert about["title"]
    assert about["alerts"]
    assert about["tags"]
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert sections == ["Symptoms", "Checks", "Fix", "Prevention", "See also"]
    assert "kubectl" in text
    assert "Verify" in text
    if len(about["causes"]) > 1:
        assert set(about["causes"]) <= set(re.findall(r"`([a-z_]+)`", text)), "each cause has its own fix"
    assert (about.get("subject") == "kubetriage") is (name in OWN)
    if name in OWN:
        explained = set(re.findall(r"^- `(Kubetriage\w+)`", text, re.MULTILINE))
        assert set(about["alerts"]) == explained, "each alert is a symptom"


@pytest.mark.parametrize("name", FILES)
def test_what_a_runbook_refers_to_is_there(name: str) -> None:
    text = (FOLDER / name).read_text()
    for other in re.findall(r"\b([a-z0-9-]+\.md)\b", text):
        assert (FOLDER / other).is_file(), other
    assert text.count("```") % 2 == 0
    assert all(fence.strip() == "```" for fence in re.findall(r"^.*```.*$", text, re.MULTILINE))


def test_an_alert_leads_to_one_runbook() -> None:
    where = defaultdict(list)
    for name in FILES:
        for alert in front_matter(name)["alerts"]:
            where[alert].append(name)
    assert not {alert: names for alert, names in where.items() if len(names) > 1}


async def test_what_the_diagnosis_searches_for_finds_the_runbook_of_its_cause() -> None:
    """Every cause by its own title and by its own evidence: the right runbook is among the first three."""
    searcher = open_bundled()
    missed = Counter[str]()
    for code, cause in CAUSES.items():
        for query in (cause.title, f"{cause.title} {cause.evidence}"):
            found = await searcher.search(SearchRequest(query=query, k=3))
            missed[code] += cause.runbook not in [passage.path for passage in found.passages]
    wrong = {code: count for code, count in missed.items() if count}
    assert sum(wrong.values()) <= 0.06 * 2 * len(CAUSES), wrong


async def test_an_alert_name_finds_its_runbook_first() -> None:
    searcher = open_bundled()
    for name in FILES:
        for alert in front_matter(name)["alerts"]:
            found = await searcher.search(SearchRequest(query=alert, k=1))
            assert found.passages[0].path == name, alert


@pytest.mark.parametrize("query", ["the data store takes no more writes", "redis does not answer", "sessions are lost"])
async def test_a_question_about_somebody_elses_workload_is_not_answered_with_our_own_runbooks(query: str) -> None:
    searcher = open_bundled()
    found = await searcher.search(SearchRequest(query=query, k=50))
    assert not {passage.path for passage in found.passages} & OWN
    asked = await searcher.search(SearchRequest(query=f"{query}, of kubetriage", k=50))
    assert {passage.path for passage in asked.passages} & OWN
