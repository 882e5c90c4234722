"""phasebus beside its peers, in one run: ``python -m benchmarks [NAME ...] [--json FILE] [--quick]``.

What is compared are ratios, taken in turns (A B A B …) in one process, so that a busy machine slows both sides.
Absolute times are an aside: they belong to the machine they were taken on.
"""
