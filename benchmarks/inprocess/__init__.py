"""What it costs to call listeners in one process: `sig`, the libraries that do the same, and a bare `for` loop.

    python -m benchmarks.inprocess

`libraries` says how each is used, `measures` what is done with it, `scale` what a full router costs, `report` what is
printed.
"""
