"""Answers by rules: ``intent`` reads the question, ``entities`` finds what it names, ``planning`` chooses
tools, ``answers`` writes. All pure and over plain data; ``chat_model`` wraps them for LangChain."""
