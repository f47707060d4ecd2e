"""From a snapshot to a Diagnosis. Pure functions: no I/O, no clock, no client.

``resources_needed`` and ``Examination.wanted_logs`` say what to read, ``diagnose`` decides. Rules live in
``rules`` by domain; ``causes`` is the registry that docs and runbooks are made from.
"""

from kubetriage.diagnosis.causes import CAUSES, Cause
from kubetriage.diagnosis.engine import Examination, diagnose, resources_needed

__all__ = ["CAUSES", "Cause", "Examination", "diagnose", "resources_needed"]
