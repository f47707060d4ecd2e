"""What keeps data and callers apart: signed internal tokens, redaction, neutralising of cluster text.

No I/O; a clock only where a token's lifetime needs one.
"""
