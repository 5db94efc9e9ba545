"""QM9: 130,831 small molecules, 11 quantum-chemical properties of each."""

from go4align.benchmarks.qm9.benchmark import QM9

__all__ = ["QM9"]
