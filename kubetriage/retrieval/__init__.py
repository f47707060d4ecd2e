"""Finding the runbook for a symptom: chunks of Markdown, BM25 over identifier-aware tokens, and
sentence embeddings where their weights are installed, fused. Chroma is imported here only."""
