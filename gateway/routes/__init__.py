"""The public calls. Every path is written out in full: a prefix of ``include_router`` would be
missing from ``scope["route"].path`` and so from logs and metrics."""
