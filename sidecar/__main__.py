"""`python -m sidecar`: the command line, where no script for it is on the path."""

from sidecar.cli.main import main

main()
