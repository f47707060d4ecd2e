"""Turns a team's Markdown runbooks into the Chroma collection that the agent searches."""
