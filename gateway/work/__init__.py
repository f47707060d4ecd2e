"""Work without a caller: ``queue`` hands it out and outlives us, ``worker`` does it, ``calls`` asks the agent."""
