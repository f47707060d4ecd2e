"""The agent: questions in plain words, answered from what read-only tools found in the cluster.

``local`` runs it in this process without a server; ``app`` is the service behind the gateway.
"""
