"""The session protocol between terminal and relay, without input or output.

Layer 2, pure: no sockets, no clock, no randomness; time and nonces are arguments.
Specification: ``docs/reference/wire-protocol.md``. The relay, the simulated
terminal, the fault tests and the deterministic simulation drive the same objects;
the MQL5 side has the same shape.
"""
