"""``python -m kubetriage``: the CLI where there is no starter script, as in images."""

from kubetriage.cli.main import main

main()
