"""What waits to be sent: three lanes, and how much market data may be under way.

Commands go before ticks, ticks before pages. Bytes that the kernel has cannot be
overtaken, so ticks and pages together are bounded by a window of unacknowledged bytes:
that, and one frame, is the most that a command ever waits behind.
"""

from __future__ import annotations

from collections import deque

from bridge.wire.spec import FRAME_OVERHEAD, MARKET_WINDOW, FrameType

__all__ = ["SendLanes"]


class SendLanes:
    """
    Bodies of frames in the order in which they will become frames.
    """

    def __init__(self) -> None:
        #: bytes of frames in the command lane
        self.command_bytes = 0
        #: bytes of TICKS frames that wait
        self.market_bytes = 0
        #: bytes of TICKS and PAGE frames handed out and not acknowledged
        self.in_flight_bytes = 0
        self._commands: deque[tuple[int, bytes]] = deque()
        self._market: deque[bytes] = deque()
        self._pages: deque[bytes] = deque()
        self._in_flight: deque[tuple[int, int]] = deque()

    @property
    def pages(self) -> int:
        """
        How many PAGE frames wait.
        """
        return len(self._pages)

    def push(self, frame_type: int, body: bytes) -> None:
        """
        Put a frame into its lane. A HALT goes before all other commands: it must not wait
        behind the orders that it is to stop.
        """
        if frame_type == FrameType.TICKS:
            self._market.append(body)
            self.market_bytes += len(body) + FRAME_OVERHEAD
        elif frame_type == FrameType.PAGE:
            self._pages.append(body)
        else:
            if frame_type == FrameType.HALT:
                self._commands.appendleft((frame_type, body))
            else:
                self._commands.append((frame_type, body))
            self.command_bytes += len(body) + FRAME_OVERHEAD

    def is_ready(self) -> bool:
        """
        Tell whether ``pop`` would return a frame.
        """
        return bool(self._commands) or self._open_lane() is not None

    def pop(self, seq: int) -> tuple[int, bytes] | None:
        """
        Return type and body of the frame that goes out next, as frame ``seq``.
        """
        if self._commands:
            frame_type, body = self._commands.popleft()
            self.command_bytes -= len(body) + FRAME_OVERHEAD
            return frame_type, body
        lane = self._open_lane()
        if lane is None:
            return None
        body = lane.popleft()
        size = len(body) + FRAME_OVERHEAD
        self._in_flight.append((seq, size))
        self.in_flight_bytes += size
        if lane is self._pages:
            return int(FrameType.PAGE), body
        self.market_bytes -= size
        return int(FrameType.TICKS), body

    def acknowledge(self, seq: int) -> None:
        """
        Every frame up to ``seq`` was taken.
        """
        while self._in_flight and self._in_flight[0][0] <= seq:
            self.in_flight_bytes -= self._in_flight.popleft()[1]

    def drop_market(self) -> None:
        """
        Forget the ticks and pages that wait.
        """
        self._market.clear()
        self._pages.clear()
        self.market_bytes = 0

    def drop_all(self) -> None:
        """
        Forget everything that waits: nobody reads it any more.
        """
        self.drop_market()
        self._commands.clear()
        self.command_bytes = 0

    def _open_lane(self) -> deque[bytes] | None:
        # The lane whose next frame fits into the window.
        lane = self._market or self._pages
        if lane and self.in_flight_bytes + len(lane[0]) + FRAME_OVERHEAD <= MARKET_WINDOW:
            return lane
        return None
