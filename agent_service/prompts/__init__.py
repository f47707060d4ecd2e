"""Prompts as versioned text beside the code."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def system_prompt() -> str:
    """What a language model is told before everything else; the built-in model ignores it."""
    return (Path(__file__).parent / "system.md").read_text().strip()


@cache
def mcp_instructions() -> str:
    """What other agents are told about our tools."""
    return (Path(__file__).parent / "mcp.md").read_text().strip()
