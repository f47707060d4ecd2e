"""The command line as a person runs it: as a process, on the bundled sample cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kubetriage.contracts.diagnosis import Diagnosis, Outcome

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "samples" / "shop.tar.gz"


def kubetriage(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from kubetriage.cli.main import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


def test_the_sample_says_why_checkout_fails_first() -> None:
    done = kubetriage("diagnose", "--bundle", str(SAMPLE), "-q", "Why is checkout failing?", "-o", "json")
    assert done.returncode == 0, done.stderr
    diagnosis = Diagnosis.model_validate_json(done.stdout)
    assert diagnosis.outcome is Outcome.FAULT_FOUND
    first = diagnosis.incidents[0]
    assert (first.root_cause.cause, str(first.root_cause.object)) == ("oom_killed", "shop/deployment/payments")
    assert [link.object.name for link in first.chain] == ["checkout", "payments", "payments"]
    assert "256Mi → 64Mi" in first.changes[0].summary
    assert [entry.root_cause.cause for entry in diagnosis.incidents[1:]] == ["image_not_found"]


def test_text_begins_with_the_answer_and_names_the_fix() -> None:
    done = kubetriage("diagnose", "--bundle", str(SAMPLE), "-q", "Why is checkout failing?")
    assert done.stdout.startswith("checkout fails because payments is OOMKilled")
    assert "kubectl -n shop set resources deployment/payments -c app --limits=memory=256Mi" in done.stdout
    assert "\x1b[" not in done.stdout  # no colours into a pipe


def test_markdown_cannot_be_made_a_link_by_cluster_text() -> None:
    done = kubetriage("diagnose", "--bundle", str(SAMPLE), "-o", "markdown")
    assert done.stdout.startswith("# ")
    assert "](" not in done.stdout


def test_one_object_is_answered_with_what_concerns_it() -> None:
    done = kubetriage("diagnose", "cronjob/nightly", "-n", "reports", "--bundle", str(SAMPLE), "-o", "json")
    incidents = json.loads(done.stdout)["incidents"]
    assert [entry["root_cause"]["cause"] for entry in incidents] == ["image_not_found"]


def test_a_healthy_namespace_has_no_fault() -> None:
    done = kubetriage("diagnose", "-n", "data", "--bundle", str(SAMPLE), "--exit-code", "7")
    assert done.returncode == 0
    assert done.stdout.startswith("no fault found in namespace data")


def test_exit_code_is_as_asked_when_a_fault_was_found() -> None:
    assert kubetriage("diagnose", "-n", "reports", "--bundle", str(SAMPLE), "--exit-code", "7").returncode == 7


def test_a_file_that_is_no_bundle_is_one_line_and_exit_3(tmp_path: Path) -> None:
    wrong = tmp_path / "x.tar.gz"
    wrong.write_bytes(b"not an archive")
    done = kubetriage("diagnose", "--bundle", str(wrong))
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "x.tar.gz" in done.stderr


def test_an_unknown_cause_names_the_nearest() -> None:
    done = kubetriage("explain", "oom_kill")
    assert done.returncode == 2
    assert "oom_killed" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(shell: str) -> None:
    done = kubetriage("completion", shell)
    assert "_KUBETRIAGE_COMPLETE" in done.stdout


def test_help_imports_neither_pydantic_nor_a_client() -> None:
    code = (
        "import sys, click; from kubetriage.cli.main import cli\n"
        "from click.testing import CliRunner\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        "print([m for m in ('pydantic', 'kubernetes', 'aiohttp') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
