"""The language models that drive the agent: ``builtin`` needs nothing, ``vendor`` any OpenAI-compatible URL."""

from __future__ import annotations

from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent_service.models.builtin.chat_model import BuiltinChatModel

BUILTIN = "builtin"
DEFAULT_VENDOR_MODEL = "gpt-4o-mini"


def choose_model(model: str | None, api_key: SecretStr | None, base_url: str | None) -> str:
    """``builtin`` unless a model, a key or a URL says otherwise."""
    return model or (DEFAULT_VENDOR_MODEL if api_key or base_url else BUILTIN)


def build_model(
    name: str,
    *,
    api_key: SecretStr | None = None,
    base_url: str | None = None,
    seconds: float = 60.0,
    output_tokens: int | None = 2000,
) -> BaseChatModel:
    """The model called ``name``; ``seconds`` bounds one call of a vendor's."""
    if name == BUILTIN:
        return BuiltinChatModel()
    from agent_service.models.vendor import build_vendor_model  # noqa: PLC0415 - 0.3 s that builtin never needs

    return build_vendor_model(name, api_key=api_key, base_url=base_url, timeout=seconds, max_tokens=output_tokens)


def model_name(model: BaseChatModel) -> str:
    """What answers, metrics and traces call it."""
    return str(getattr(model, "model_name", None) or model._llm_type)


class ModelSettings(BaseSettings):
    """Which model, from the environment: ``MODEL``, ``OPENAI_API_KEY``, ``OPENAI_BASE_URL``."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    model: str | None = None
    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None

    @property
    def name(self) -> str:
        return choose_model(self.model, self.openai_api_key, self.openai_base_url)
