"""Reading container logs: which line says why, and whom it blames. Pure text in, facts out."""

from kubetriage.diagnosis.logs.reading import LogHit, fatal_hit, find_hits
from kubetriage.diagnosis.logs.signatures import SIGNATURES, Symptom

__all__ = ["SIGNATURES", "LogHit", "Symptom", "fatal_hit", "find_hits"]
