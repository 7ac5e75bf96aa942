"""MetaTrader's vocabulary: enumerations with MQL5's values, ticks, symbols.

Layer 1: no input or output, no clock, no other layer but ``bridge.exceptions``.
"""
