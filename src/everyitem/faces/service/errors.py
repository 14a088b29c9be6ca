"""What a service refuses besides what the documents and the store do."""

from everyitem.model.errors import ErrorCode, EveryitemError


class QueueFull(EveryitemError):
    """As many batches wait as may (`maxQueuedBatches`); nothing was stored, try again later."""

    code = ErrorCode.RESOURCE_ERROR


class ServiceStopping(EveryitemError):
    """The service is ending and takes nothing in any more."""

    code = ErrorCode.RESOURCE_ERROR
