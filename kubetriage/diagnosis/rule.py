"""What a rule is: what it reads, and a pure function from a view to suspects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kubetriage.diagnosis.causes import Cause
from kubetriage.diagnosis.suspect import Suspect
from kubetriage.diagnosis.view import ClusterView

Find = Callable[[ClusterView], Iterable[Suspect]]


@dataclass(frozen=True, slots=True)
class Rule:
    """``reads``: plural resource names; a run reads the union of what its rules declare.

    ``find`` must tell an object that is absent from one that was not read
    (``view.snapshot.was_read``), and treat finished, deleted and old things as no fault.

    ``causes``: those that a team's own rule finds; the built-in ones are in the registry.
    """

    name: str
    reads: frozenset[str]
    find: Find
    causes: tuple[Cause, ...] = ()


def rule(*reads: str, causes: tuple[Cause, ...] = ()) -> Callable[[Find], Rule]:
    """Decorator: makes a Rule of a ``find_*`` function; its name is the function's."""

    def make(find: Find) -> Rule:
        return Rule(find.__name__.removeprefix("find_"), frozenset(reads), find, causes)

    return make
