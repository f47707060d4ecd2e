"""The language models that drive the agent: ``builtin`` needs nothing, ``vendor`` any OpenAI-compatible URL."""

from __future__ import annotations

from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import SecretStr

from agent_service.models.builtin.chat_model import BuiltinChatModel


def build_model(
    name: str,
    *,
    api_key: SecretStr | None = None,
    base_url: str | None = None,
    seconds: float = 60.0,
    output_tokens: int | None = 2000,
) -> BaseChatModel:
    """The model called ``name``; ``seconds`` bounds one call of a vendor's."""
    if name == "builtin":
        return BuiltinChatModel()
    from agent_service.models.vendor import build_vendor_model  # noqa: PLC0415 - 0.3 s that builtin never needs

    return build_vendor_model(name, api_key=api_key, base_url=base_url, timeout=seconds, max_tokens=output_tokens)
