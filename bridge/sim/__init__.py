"""The simulated terminal: its market, its history, its exchange, its side of the session."""
