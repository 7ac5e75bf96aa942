"""The relay: terminals on one side, clients on the other, one selector loop between.

``app`` is the only composition root: it alone makes sockets, clocks and the loop.
"""
