"""The language of ``when``: a condition on one API object, parsed once, evaluated without ``eval``.

    missing(metadata.labels.team) and not (metadata.namespace in ["kube-system", "monitoring"])
    spec.template.spec.containers[*].resources.limits.memory < "64Mi"
    matches(spec.template.spec.containers[*].image, ":latest$")

A comparison holds when one of the values that are there satisfies it; of what is absent nothing holds but
``missing``. Numbers and Kubernetes quantities compare by amount.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from kubetriage.diagnosis.own_rules.comparing import ORDER, compared, contains, is_in
from kubetriage.diagnosis.own_rules.paths import PATH, Path, parse_path
from kubetriage.diagnosis.own_rules.patterns import PatternError, compile_pattern

LONGEST = 2_000
DEEPEST = 30
_TOKEN = re.compile(
    r"\s*(?:(?P<string>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
    r"|(?P<number>-?\d{1,18}(?:\.\d{1,18})?(?![\w.]))"
    r"|(?P<mark>==|!=|<=|>=|[<>()\[\],])"
    rf"|(?P<word>{PATH}))",
    re.DOTALL,
)
_CONSTANTS = {"true": True, "false": False}
_FUNCTIONS = ("exists", "missing", "contains", "matches")
_WORDS = {"and", "or", "not", "in", "null", *_CONSTANTS, *_FUNCTIONS}
Object = Mapping[str, Any]
_Test = Callable[[Object], bool]
_Operand = Callable[[Object], list[Any]]


class ConditionError(ValueError):
    """Why a condition is refused, with where."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``paths`` in the order in which the text names them."""

    text: str
    paths: tuple[Path, ...]
    _test: _Test

    def holds(self, item: Object) -> bool:
        """Raises ConditionError when the object is nested beyond reason, and nothing else."""
        try:
            return self._test(item)
        except RecursionError:
            raise ConditionError("the object is nested too deep") from None


def parse_condition(text: str) -> Condition:
    """Raises ConditionError for what is not the language."""
    if len(text) > LONGEST:
        raise ConditionError(f"the condition is longer than {LONGEST} characters")
    parser = _Parser(text)
    test = parser.any_of()
    if parser.at < len(parser.tokens):
        parser.refuse("and, or, or the end")
    return Condition(text, tuple(dict.fromkeys(parser.paths)), test)


class _Parser:
    """Recursive descent over the tokens; every method returns what tests an object."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.at = 0
        self.paths: list[Path] = []
        self._depth = 0

    def any_of(self) -> _Test:
        tests = [self._all_of()]
        while self._take("or"):
            tests.append(self._all_of())
        return tests[0] if len(tests) == 1 else lambda item: any(test(item) for test in tests)

    def _all_of(self) -> _Test:
        tests = [self._single()]
        while self._take("and"):
            tests.append(self._single())
        return tests[0] if len(tests) == 1 else lambda item: all(test(item) for test in tests)

    def _single(self) -> _Test:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ConditionError("the condition is nested too deep")
        try:
            if self._take("not"):
                inner = self._single()
                return lambda item: not inner(item)
            if self._take("("):
                inner = self.any_of()
                self._expect(")")
                return inner
            if self._peek()[1] in _FUNCTIONS:
                return self._function()
            return self._comparison()
        finally:
            self._depth -= 1

    def _function(self) -> _Test:
        name = self._next()[1]
        self._expect("(")
        path = self._path()
        if name in {"contains", "matches"}:
            self._expect(",")
            kind, text = self._peek()
            argument = self._operand()
            self._expect(")")
            if name == "contains":
                return lambda item: any(contains(value, part) for value in path.values(item) for part in argument(item))
            return _matcher(path, kind, text)
        self._expect(")")
        if name == "exists":
            return lambda item: bool(path.values(item))
        return lambda item: any(not place.present for place in path.places(item))

    def _comparison(self) -> _Test:
        left = self._operand()
        negated = self._take("not")
        if negated or self._peek()[1] == "in":
            self._expect("in")
            right = self._operand()
            return lambda item: _any_in(left(item), right(item), negated=negated)
        mark = self._peek()[1]
        if mark not in {"==", "!=", *ORDER}:
            self.refuse("a comparison (== != < <= > >= in)")
        self.at += 1
        right = self._operand()
        return lambda item: any(compared(mark, one, other) for one in left(item) for other in right(item))

    def _operand(self) -> _Operand:
        if self._take("["):
            values = [] if self._peek()[1] == "]" else [self._constant()]
            while values and self._take(","):
                values.append(self._constant())
            self._expect("]")
            return lambda _item: [values]
        kind, text = self._peek()
        if kind == "word" and text not in _WORDS:
            return self._path().values
        value = self._constant()
        return lambda _item: [value]

    def _constant(self) -> Any:
        kind, text = self._peek()
        if kind == "string":
            value: Any = _unquoted(text)
        elif kind == "number":
            value = float(text) if "." in text else int(text)
        elif kind == "word" and text in _CONSTANTS:
            value = _CONSTANTS[text]
        else:
            self.refuse("a path, a text in quotes, a number, true, false or a list")
        self.at += 1
        return value

    def _path(self) -> Path:
        kind, text = self._peek()
        if kind != "word" or text in _WORDS:
            self.refuse("a path")
        self.at += 1
        self.paths.append(parse_path(text))
        return self.paths[-1]

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        self.at += 1
        return self.tokens[self.at - 1]

    def _take(self, text: str) -> bool:
        kind, found = self._peek()
        if found != text or kind not in {"mark", "word"}:
            return False
        self.at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._take(text):
            self.refuse(repr(text))

    def refuse(self, wanted: str) -> NoReturn:
        kind, found = self._peek()
        raise ConditionError(f"expected {wanted}, found {'the end' if kind == 'end' else found}")


def _any_in(values: list[Any], places: list[Any], *, negated: bool) -> bool:
    return bool(places) and any(is_in(value, places) is not negated for value in values)


def _tokens(text: str) -> Iterable[tuple[str, str]]:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise ConditionError(f"cannot read {text[at : at + 20].strip()!r}")
        at = found.end()
        kind = found.lastgroup or ""
        yield kind, found[kind]


def _unquoted(text: str) -> str:
    """Only the quote itself is escaped: a backslash before anything else stays, for patterns."""
    return text[1:-1].replace(f"\\{text[0]}", text[0])


def _matcher(path: Path, kind: str, text: str) -> _Test:
    if kind != "string":
        raise ConditionError("matches needs a pattern in quotes")
    try:
        pattern = compile_pattern(_unquoted(text))
    except PatternError as error:
        raise ConditionError(f"{error}") from None
    return lambda item: any(isinstance(value, str) and pattern(value) for value in path.values(item))
