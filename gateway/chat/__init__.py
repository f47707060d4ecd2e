"""OpenAI's chat API on top of our own: ``reading`` a request, ``writing`` an answer. No I/O."""
