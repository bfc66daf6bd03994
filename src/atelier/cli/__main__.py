"""`python -m atelier.cli`."""

from . import main

main()
