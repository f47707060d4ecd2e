"""The read-only tools. ``pods``, ``objects``, ``diagnosis`` and ``runbooks`` are plain coroutines over a
RunContext that return a ToolResult; ``binding`` makes LangChain tools of them."""
