"""The client: a pure core, one I/O thread, and two thin shells around them.

``sync`` and ``aio`` are the shells; use them as ``bridge.Client`` and ``bridge.AsyncClient``.
``core``, ``healing``, ``learning``, ``stream``, ``requests``, ``flows`` and ``orders`` are pure:
no sockets, no clock.
"""
