"""The wire: every document that crosses a process boundary, as pydantic models.

Data only. No I/O, no clock, no import of any other package of ours. A module per subject:
``diagnosis``, ``events`` (the SSE stream), ``api`` (requests and answers), ``identity``,
``problems`` (RFC 9457).
"""
