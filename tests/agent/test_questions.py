"""Questions to the built-in model over the sample cluster: the right tools, the right answer."""

from __future__ import annotations

import pytest

from agent_service.agent import build_agent
from agent_service.local import LocalAgent
from agent_service.models.builtin.chat_model import BuiltinChatModel
from agent_service.run_context import RunContext
from agent_service.runs import run_question
from agent_service.scoped_reader import ScopedReader
from kubetriage.cluster import open_bundle
from kubetriage.cluster.reader import ClusterReader
from kubetriage.contracts.api import AskResponse, PastMessage
from kubetriage.contracts.events import Answer
from tests.agent.support import SAMPLE


@pytest.fixture(scope="module")
def cluster() -> ClusterReader:
    return open_bundle(SAMPLE)


@pytest.fixture
async def talk(cluster: ClusterReader) -> LocalAgent:
    return LocalAgent(cluster, None)


async def answer_to(agent: LocalAgent, question: str) -> AskResponse:
    events = [event async for event in agent.ask(question)]
    assert isinstance(events[-1], Answer)
    return events[-1].answer


# question, the tool that must have been called (None: none but the index of names), words of the answer
QUESTIONS = [
    ("Why is checkout failing?", "diagnose", ["payments is OOMKilled", "64Mi", "set resources deployment/payments"]),
    ("payments keeps restarting", "diagnose", ["OOMKilled", "exit code 137"]),
    ("what is wrong in namespace reports?", "diagnose", ["cronjob/nightly", "shop/reports:1.4"]),
    ("what's wrong with the frontend service", "diagnose", ["payments is OOMKilled"]),
    ("checkout requests are timing out", "diagnose", ["payments is OOMKilled"]),
    ("Is cart healthy?", "diagnose", ["no fault found"]),
    ("is everything ok?", "diagnose", ["payments is OOMKilled", "cronjob/nightly"]),
    ("show me the logs of payments", "get_pod_logs", ["risk model: 56 of 112 MiB loaded"]),
    ("any errors in the logs of checkout?", "analyze_errors", ["connection refused"]),
    ("which events has checkout?", "get_events", ["Readiness probe failed", "statuscode: 503"]),
    ("what happened to payments between 12:40 and 12:50?", "get_events", ["BackOff", "since 2026-11-23T12:40:00"]),
    ("has anything changed in payments?", "get_events", ["payments"]),
    ("how many pods run which image?", "list_resources", ["16 pods run 12 images", "2 pods: shop/payments:4.1.0"]),
    ("which image does cart run?", "check_resources", ["shop/cart:1.3.1"]),
    ("what are the limits of payments?", "check_resources", ["limits memory 64Mi"]),
    ("how much memory does cart use?", "check_resources", ["uses cpu", "limits memory 64Mi"]),
    ("which node does cart run on?", "get_pod_status", ["node-1"]),
    ("how often did payments restart?", "get_pod_status", ["restarted 8 times", "OOMKilled (exit code 137)"]),
    ("what is the status of frontend?", "get_pod_status", ["2 of 2 pods of frontend are ready"]),
    ("describe the pod of ledger", "describe_pod", ["1 of 1 pods", "running"]),
    ("list deployments in shop", "list_resources", ["6 deployments in namespace shop", "shop/checkout  0/2 ready"]),
    ("how many nodes are there?", "list_resources", ["1 node", "node-1"]),
    ("which pods are in reports", "list_resources", ["2 pods in namespace reports"]),
    ("does deployment cart exist?", None, ["Yes", "deployment/cart", "namespace shop"]),
    ("is there a statefulset sessions", None, ["Yes", "statefulset/sessions", "namespace data"]),
    ("does billing exist?", None, ["nothing that I can read is named billing"]),
    ("why is billing failing?", "diagnose", ["Nothing is named billing, so this is about everything"]),
    ("why are users complaining?", "diagnose", ["payments is OOMKilled"]),
    ("what are the limits of billing?", None, ["nothing that I can read is named billing"]),
    ("why is deployment billing down?", None, ["nothing that I can read is named billing"]),
    ("why is chekout failing", None, ["nothing that I can read is named chekout", "checkout"]),
    ("what is wrong in namespace shopp?", None, ["There is no namespace shopp", "shop"]),
    ("what does CrashLoopBackOff mean?", None, ["`crash_loop`", "What to do"]),
    ("hello", None, ["Ask for example"]),
    ("delete the pod payments", None, ["never change"]),
    ("tell me a joke", None, ["state of this Kubernetes cluster"]),
]


@pytest.mark.parametrize(("question", "tool", "words"), QUESTIONS, ids=[row[0] for row in QUESTIONS])
async def test_a_question_gets_its_own_answer(
    talk: LocalAgent, question: str, tool: str | None, words: list[str]
) -> None:
    answer = await answer_to(talk, question)
    for word in words:
        assert word in answer.answer
    assert answer.unverified == (), "what the built-in model says is what its tools told"
    called = [call.name for call in answer.tool_calls if call.arguments != {"kind": "all"}]
    assert (tool in called) if tool else not called
    assert all(call.status == "ok" for call in answer.tool_calls if call.name != "search_runbooks")


# Each conversation: (question, words of the answer), one after the other in one session.
CONVERSATIONS = [
    [
        ("Why is checkout failing?", ["payments is OOMKilled"]),
        ("show me its logs", ["risk model: 56 of 112 MiB loaded"]),
        ("how do I fix it?", ["--limits=memory=256Mi"]),
        ("which events has it?", ["BackOff"]),
    ],
    [("is cart healthy?", ["no fault found"]), ("and in payments?", ["OOMKilled"]), ("frontend?", ["frontend fails"])],
    [("is the cluster ok?", ["payments is OOMKilled"]), ("the other one", ["cronjob/nightly cannot start"])],
    [("which pods are in namespace reports?", ["2 pods"]), ("and in data?", ["2 pods in namespace data"])],
    [("what are the limits of cart?", ["64Mi"]), ("which node does it run on?", ["cart", "node-1"])],
    [("why is payments failing?", ["OOMKilled"]), ("how many pods run which image?", ["12 images"])],
]


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=[rows[0][0] for rows in CONVERSATIONS])
async def test_a_follow_up_uses_what_was_said(talk: LocalAgent, conversation: list[tuple[str, list[str]]]) -> None:
    for question, words in conversation:
        answer = await answer_to(talk, question)
        for word in words:
            assert word in answer.answer, (question, answer.answer)
        assert answer.unverified == ()


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=[rows[0][0] for rows in CONVERSATIONS])
async def test_a_follow_up_is_understood_from_what_the_caller_kept(
    cluster: ClusterReader, conversation: list[tuple[str, list[str]]]
) -> None:
    """The text of questions and answers alone, as chat front ends send it."""
    agent, history = build_agent(BuiltinChatModel(), None), []
    for question, words in conversation:
        context = RunContext(reader=ScopedReader(cluster))
        run = run_question(agent, question, context, thread=None, history=history, model="builtin", seconds=60)
        answer = [event async for event in run][-1]
        assert isinstance(answer, Answer)
        for word in words:
            assert word in answer.answer.answer, (question, answer.answer.answer)
        history += [
            PastMessage(role="user", content=question),
            PastMessage(role="assistant", content=answer.answer.answer),
        ]


async def test_without_runbooks_the_answer_says_so(talk: LocalAgent) -> None:
    answer = await answer_to(talk, "Why is payments failing?")
    assert answer.status == "degraded"
    assert answer.degraded == ("retrieval",)
    assert "Runbook search is not available" in answer.answer


async def test_two_conversations_know_nothing_of_each_other(cluster: ClusterReader) -> None:
    first, second = LocalAgent(cluster, None), LocalAgent(cluster, None)
    await answer_to(first, "Why is payments failing?")
    answer = await answer_to(second, "show me its logs")
    assert "risk model" not in answer.answer
