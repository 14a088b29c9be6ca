"""What a service refuses besides what the documents and the store do."""

from everyitem.model.errors import ErrorCode, EveryitemError, UsageError


class QueueFull(EveryitemError):
    """As many batches wait as may (`maxQueuedBatches`); nothing was stored, try again later."""

    code = ErrorCode.RESOURCE_ERROR


class ProcessorsUnusable(UsageError):
    """The operator's item processors do not load now; that is nobody's fault who hands something in."""


class ServiceStopping(EveryitemError):
    """The service is ending and takes nothing in any more."""

    code = ErrorCode.RESOURCE_ERROR
