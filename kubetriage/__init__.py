"""Kubetriage: the root cause of a Kubernetes fault, its evidence and its fix.

The core library. No web framework and no LangChain below this package (``kubetriage.cli`` may
import a service lazily). See docs/architecture.md for the layers, which import-linter enforces.
"""

__version__ = "0.1.0"
