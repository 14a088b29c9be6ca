"""A request that is answered without a result."""


class Refusal(Exception):
    """Nothing was calculated; `code` and text go to whoever caused the request."""

    def __init__(self, code: str, message: str, *, retryable: bool) -> None:
        self.code, self.retryable = code, retryable
        super().__init__(message)
