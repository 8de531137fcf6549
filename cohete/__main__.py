"""`python -m cohete`."""

from cohete.cli import main

main()
