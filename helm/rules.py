"""Writes deploy/prometheus/rules.yaml, for a Prometheus without its operator: the chart's rules, for every namespace.

``python helm/rules.py``; with ``--check`` it only says whether the file is up to date, which a test does. Needs helm.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "kubetriage"
FILE = Path(__file__).parents[1] / "deploy" / "prometheus" / "rules.yaml"

_HEAD = """\
# Recording rules and alerts of Kubetriage, for Prometheus without its operator: rule_files: [rules.yaml]
# Written by `make rules` from helm/kubetriage/templates/prometheusrule.yaml with the chart's default values.
"""
_RELEASE = "kubetriage"


class _Dumper(yaml.SafeDumper):
    """Queries over several lines stay readable."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def rendered() -> dict[str, Any]:
    """The groups as Helm renders them for one release. Raises CalledProcessError."""
    done = subprocess.run(
        [
            *("helm", "template", _RELEASE, str(CHART), "--namespace", _RELEASE),
            *(
                "--kube-version",
                "1.30",
                "--show-only",
                "templates/prometheusrule.yaml",
                "--set",
                "monitoring.prometheusRule.enabled=true",
            ),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    spec: dict[str, Any] = yaml.safe_load(done.stdout)["spec"]
    return spec


def content() -> str:
    """The file. A release knows its own namespace; here each namespace is looked at, also none."""
    for_one = yaml.dump(rendered(), Dumper=_Dumper, sort_keys=False, width=1000)
    return _HEAD + for_one.replace(f'namespace="{_RELEASE}"', 'namespace=~".*"')


def main() -> None:
    """Writes it, or says that it is not up to date."""
    made = content()
    if "--check" in sys.argv:
        sys.exit(0 if FILE.exists() and FILE.read_text() == made else f"not up to date: {FILE.name}")
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(made)


if __name__ == "__main__":
    main()
