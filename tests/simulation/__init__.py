"""Deterministic simulation: the real relay, terminal and client in a world made of faults.

``python -m tests.simulation`` runs it; ``world`` says what there is, ``oracle`` what must hold.
"""
