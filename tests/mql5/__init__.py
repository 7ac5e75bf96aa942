"""The checker, translator and runtime that execute the real MQL5 sources on Linux."""
