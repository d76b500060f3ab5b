"""`python -m heartfly` is `heartfly`."""

from heartfly.cli import main

main()
