"""What every service says about itself: logs, trace context, metrics.

No web framework and no network in here: services hand in plain strings and numbers.
"""
