"""What is answered instead of what was asked for."""

from collections.abc import Mapping


class PageError(Exception):
    """A request cannot be answered.

    Args:
        status: of HTTP.
        message: one sentence, for whoever asks: no path of this machine is in it.
        headers: of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})


class BusyError(PageError):
    """So much waits already that this would have to wait too long."""

    def __init__(self) -> None:
        super().__init__(503, 'the server is busy: try again in a moment', {'retry-after': '1'})
