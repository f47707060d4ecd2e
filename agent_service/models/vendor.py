"""Any OpenAI-compatible endpoint. Imported only when such a model is configured."""

from __future__ import annotations

from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import SecretStr


def build_vendor_model(
    model: str, *, api_key: SecretStr | None, base_url: str | None, timeout: float = 60.0, max_tokens: int | None = 2000
) -> BaseChatModel:
    """``ChatOpenAI`` with a deadline (seconds), one retry, and usage in streams, which other vendors omit."""
    from langchain_openai import ChatOpenAI  # noqa: PLC0415 - 0.3 s that the built-in model never needs

    return ChatOpenAI(
        model=model,
        # Local servers want no key, the client always sends one.
        api_key=api_key or SecretStr("none"),
        base_url=base_url,
        temperature=0,
        timeout=timeout,
        max_retries=1,
        stream_usage=True,
        max_completion_tokens=max_tokens,
    )
