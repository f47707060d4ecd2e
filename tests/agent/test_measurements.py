"""What the agent counts of models, searches, Chroma and causes."""

from __future__ import annotations

from collections.abc import Collection

import aiohttp
import pytest

from agent_service.measured import MeasuredSearcher
from agent_service.metrics import NO_NAMESPACE, OTHER_NAMESPACE, Metrics
from kubetriage.contracts.api import SearchRequest, SearchResponse
from kubetriage.contracts.diagnosis import Diagnosis
from kubetriage.retrieval.chroma_store import connect_chroma
from kubetriage.retrieval.runbooks import read_runbooks
from kubetriage.retrieval.search import RunbookIndex
from kubetriage.retrieval.searcher import RetrievalUnavailableError, bundled_folder
from tests.agent.support import ask
from tests.processes import RunningService, free_port

QUERY = SearchRequest(query="container was OOMKilled", k=3)


class Words:
    """The bundled runbooks by their words alone."""

    def __init__(self) -> None:
        self._index = RunbookIndex(list(read_runbooks(bundled_folder())))

    async def search(self, request: SearchRequest, allowed_namespaces: Collection[str] | None = None) -> SearchResponse:
        return self._index.search(request, allowed_namespaces)

    async def aclose(self) -> None:
        pass


def diagnosis(*namespaces: str | None) -> Diagnosis:
    """With an incident in each."""
    causes = [
        {
            "cause": "oom_killed",
            "object": {"kind": "Deployment", "name": "payments", "namespace": namespace},
            "title": "payments is OOMKilled",
            "explanation": "",
            "severity": "high",
            "confidence": 0.9,
        }
        for namespace in namespaces
    ]
    incidents = [
        {"id": str(rank), "rank": rank, "title": "", "severity": "high", "confidence": 0.9, "root_cause": cause}
        for rank, cause in enumerate(causes, start=1)
    ]
    return Diagnosis.model_validate({"outcome": "fault_found", "summary": "", "scope": {}, "incidents": incidents})


def count(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"kubetriage_agent_{name}", labels) or 0.0


def causes(metrics: Metrics, namespace: str) -> float:
    return count(metrics, "causes_total", cause="oom_killed", object_namespace=namespace)


def test_every_incident_is_counted_where_its_root_cause_is() -> None:
    metrics = Metrics()
    metrics.diagnosed(diagnosis("shop", "shop", "billing", None))
    assert [causes(metrics, name) for name in ("shop", "billing", NO_NAMESPACE)] == [2, 1, 1]


def test_a_thousand_namespaces_are_not_a_thousand_series() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.diagnosed(diagnosis(f"team-{number}"))
    metrics.diagnosed(diagnosis("team-0", "team-999"))
    assert (causes(metrics, "team-0"), causes(metrics, "team-999")) == (2, 0)
    (family,) = (one for one in metrics.registry.collect() if one.name == "kubetriage_agent_causes")
    assert len([sample for sample in family.samples if sample.name.endswith("_total")]) == 51
    assert causes(metrics, OTHER_NAMESPACE) == 951


async def test_searches_are_counted_by_what_they_bring() -> None:
    metrics = Metrics()
    searcher = MeasuredSearcher(Words(), metrics)
    found = await searcher.search(QUERY)
    nothing = await searcher.search(SearchRequest(query="zzzz qqqq", k=3))
    assert (len(found.passages), len(nothing.passages)) == (3, 0)
    assert count(metrics, "search_duration_seconds_count", outcome="found") == 1
    assert count(metrics, "search_duration_seconds_count", outcome="nothing") == 1
    assert count(metrics, "search_passages_bucket", le="0.0") == 1
    assert count(metrics, "search_passages_sum") == 3


async def test_a_chroma_that_is_away_is_an_error_of_search_and_of_chroma() -> None:
    metrics = Metrics()
    inner = connect_chroma(f"http://127.0.0.1:{free_port()}", on_request=metrics.chroma_asked)
    searcher = MeasuredSearcher(inner, metrics)
    with pytest.raises(RetrievalUnavailableError):
        await searcher.search(QUERY)
    await searcher.aclose()
    assert count(metrics, "search_duration_seconds_count", outcome="error") == 1
    assert count(metrics, "chroma_duration_seconds_count", outcome="error") == 1
    assert count(metrics, "search_passages_count") == 0


async def test_calls_of_the_model_are_counted_by_its_name(http: aiohttp.ClientSession, agent: RunningService) -> None:
    reply = await ask(http, agent, "Why is checkout failing?", session="s_measure1")
    async with http.get(f"{agent.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    name = 'kubetriage_agent_model_duration_seconds_count{model="builtin",outcome="ok"}'
    (counted,) = (float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))
    assert counted >= reply.json["usage"]["steps"] > 1
