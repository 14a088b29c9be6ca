"""What may become of a call over HTTP."""


class WebError(Exception):
    """A call that failed; says which, and never a header."""

    def __init__(
        self, message: str, *, status: int = 0, body: bytes = b"", wait: float | None = None
    ) -> None:
        """`status` is 0 where no server answered; `wait`: seconds it asks to be left alone for."""
        self.status, self.body, self.wait = status, body, wait
        super().__init__(message)
