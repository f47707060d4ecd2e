"""Conversations in plain Redis: ``checkpointer`` for LangGraph, ``locks`` for one writer per session,
``transcript`` for people."""
