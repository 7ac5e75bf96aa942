"""The bus protocol between relay and clients, without input or output.

Layer 2, pure: no sockets, no clock, no randomness. ``topics`` names what is
published, ``bodies`` lays out what stands behind a topic, ``requests`` what can be
asked, ``fields`` and ``order_params`` which values are taken, ``orders`` what comes of an
order, ``codec`` turns it into bytes and back. Specification:
``docs/reference/bus-protocol.md``.
"""
