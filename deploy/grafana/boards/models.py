"""What the language model costs in time and tokens, and when the built-in one had to answer."""

from __future__ import annotations

from deploy.grafana.dashboard import build
from deploy.grafana.panels import bars, heat, lines, number
from deploy.grafana.queries import AGENT, RANGE, RUNS, increase, quantile, quantiles, rate, share

_CALL = f"{AGENT}_model_duration_seconds"
_CALLS = f"{_CALL}_count"
_TOKENS = f"{AGENT}_model_tokens_total"
_STEPS = f"{AGENT}_run_steps"
_BY_BUILTIN = 'part="model"'

DASHBOARD = build(
    "kubetriage-models",
    "Kubetriage models and tokens",
    "Calls of the language model, their time and failures, and the tokens that they cost.",
    services=("agent",),
    rows={
        "In the dashboard's time range": [
            number("Model calls", "Of all models.", increase(_CALLS), "short"),
            number(
                "Failed calls",
                "Share of the calls that ended with an error; the built-in model then answers.",
                share(rate(_CALLS, where='outcome="error"', window=RANGE), rate(_CALLS, window=RANGE)),
                "percentunit",
                0.01,
                0.1,
            ),
            number("Call, p95", "95 of 100 calls are faster.", quantile(0.95, _CALL, window=RANGE), "s", 10, 30),
            number("Tokens read", "Input, as the vendor counts.", increase(_TOKENS, where='kind="input"'), "short"),
            number(
                "Tokens written", "Output, as the vendor counts.", increase(_TOKENS, where='kind="output"'), "short"
            ),
            number(
                "Without the model",
                "Share of the questions whose model failed: the built-in one answered.",
                share(
                    rate(f"{AGENT}_degraded_total", where=_BY_BUILTIN, window=RANGE),
                    rate(RUNS, window=RANGE),
                ),
                "percentunit",
                0.01,
                0.1,
            ),
        ],
        "Calls": [
            lines(
                "Calls",
                "By model and outcome.",
                "reqps",
                (rate(_CALLS, "model, outcome"), "{{model}} {{outcome}}"),
                stacked=True,
            ),
            lines("Duration, p95", "By model.", "s", (quantile(0.95, _CALL, "model"), "{{model}}")),
            heat("Duration, all calls", "How many calls took how long.", _CALL),
        ],
        "Tokens": [
            lines(
                "Tokens per second",
                "As the model's vendor counts them. The built-in model has none.",
                "short",
                (rate(_TOKENS, "model, kind"), "{{model}} {{kind}}"),
                stacked=True,
            ),
            lines(
                "Tokens of a question",
                "The mean, over all questions.",
                "short",
                (f"{rate(_TOKENS, 'kind')} / on () group_left () ({rate(RUNS)} > 0)", "{{kind}}"),
            ),
            bars(
                "Tokens by model",
                "In the dashboard's time range: what a budget is compared with.",
                "short",
                (increase(_TOKENS, "model, kind"), "{{model}} {{kind}}"),
            ),
        ],
        "Steps": [
            lines("Model calls of a question", "Each is one step.", "short", *quantiles(_STEPS)),
            heat("Model calls, all questions", "How many questions took how many steps.", _STEPS, "short"),
            lines(
                "Without the model",
                "Questions that the built-in model answered, because the other one failed.",
                "reqps",
                (rate(f"{AGENT}_degraded_total", where=_BY_BUILTIN), "questions"),
            ),
        ],
    },
)
