"""`python -m geomammut`, which `torchrun -m geomammut` starts too."""

from geomammut.cli import main

main()
