"""The command line: tier 1 without any server, and a client of the gateway. A module per command."""
