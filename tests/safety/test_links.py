"""One line of an answer: which addresses stay, and as what."""

from __future__ import annotations

import pytest

from agent_service.links import LineByLine, find_urls, neutralize_links

WIKI, SEEN = "https://wiki.example/oom", "https://registry.example/v2/"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"See [the wiki]({WIKI}) or {WIKI}.", f"See [the wiki]({WIKI}) or {WIKI}."),
        (f"![the wiki]({WIKI})", f"the wiki ({WIKI})"),
        (f'Get "{SEEN}": timeout', f'Get "`{SEEN}`": timeout'),
        (f"`curl {SEEN}`", f"`curl {SEEN}`"),
        (f"[registry]({SEEN})", f"registry (`{SEEN}`)"),
        ("`curl https://evil.example/a`", "`curl [link removed]`"),
        ("http://payments:8080/x and http://10.0.3.7/", "http://payments:8080/x and http://10.0.3.7/"),
        ("http://payments.shop.svc:8080 answers 503", "http://payments.shop.svc:8080 answers 503"),
        ("[logs](/v1/logout)", "logs (/v1/logout)"),
        ("run `kubectl logs <pod>`, not <pod>", "run `kubectl logs <pod>`, not \u2039pod>"),
        ("a lone ` backtick", "a lone ' backtick"),
        ("memory < 64Mi -> OOMKilled, exit code 137!", "memory < 64Mi -> OOMKilled, exit code 137!"),
        ('**bold** "quoted" - `kubectl -n shop get pods`', '**bold** "quoted" - `kubectl -n shop get pods`'),
        ("image shop/cart@sha256:abc, containerd://abc", "image shop/cart@sha256:abc, containerd://abc"),
    ],
)
def test_a_line(line: str, shown: str) -> None:
    assert neutralize_links(line, {WIKI}, {SEEN}) == shown
    assert neutralize_links(shown, {WIKI}, {SEEN}) == shown, "a second time changes nothing more"


def test_a_block_of_code_keeps_its_signs() -> None:
    lines = LineByLine(lambda line, code: neutralize_links(line, (), {SEEN}, code=code))
    text = f"```sh\necho `date` > <file> {SEEN}\n```\n<file>"
    halves = lines.feed(text[:20]) + lines.feed(text[20:]) + lines.rest()
    assert halves == f"```sh\necho `date` > <file> {SEEN}\n```\n\u2039file>"


def test_addresses_are_found_without_the_sentences_punctuation() -> None:
    assert find_urls(f"({WIKI}), {SEEN}. And www.example.com!") == {WIKI, SEEN, "www.example.com"}
