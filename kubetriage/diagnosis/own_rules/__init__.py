"""A team's own rules: YAML checks and what runs them. They reach the engine as values (``extra_rules``).

``reading`` makes a ``Check`` of a YAML document, ``condition`` is the language of its ``when``, and ``trial``
runs the tests that it brings along. Python rules come in by ``kubetriage.cli.own_rules``.
"""

from kubetriage.diagnosis.own_rules.check import Check, Example
from kubetriage.diagnosis.own_rules.reading import parse_checks
from kubetriage.diagnosis.own_rules.trial import Trial, try_check

__all__ = ["Check", "Example", "Trial", "parse_checks", "try_check"]
