"""From settings to a ready engine: the only place that names adapters.

Adapters are imported when a batch asks for them, so that nobody pays for a node kind or a store he does
not use.
"""

from everyitem.compose.executions import fail_at_rest, recover, redrive, resume, settle_at_rest, submit
from everyitem.compose.places import (
    await_store,
    call_web,
    client_tokens,
    data_directory,
    default_store_url,
    examine_server,
    open_alerts,
    open_inbox,
    open_monitoring,
    open_outlet,
    open_queue,
    open_retention,
    open_sink,
    open_source,
    open_store,
    open_tokens,
    read_reference,
)
from everyitem.compose.watching import (
    Watching,
    json_log_handler,
    look_after,
    render_metrics,
    subscribe,
    watch,
)
from everyitem.engine.execution import Conclusion
from everyitem.engine.progress import Listener
from everyitem.engine.switch import Switch
from everyitem.work.inside import is_inside

__all__ = [
    "Conclusion",
    "Listener",
    "Switch",
    "Watching",
    "await_store",
    "call_web",
    "client_tokens",
    "data_directory",
    "default_store_url",
    "examine_server",
    "fail_at_rest",
    "is_inside",
    "json_log_handler",
    "look_after",
    "open_alerts",
    "open_inbox",
    "open_monitoring",
    "open_outlet",
    "open_queue",
    "open_retention",
    "open_sink",
    "open_source",
    "open_store",
    "open_tokens",
    "read_reference",
    "recover",
    "redrive",
    "render_metrics",
    "resume",
    "settle_at_rest",
    "submit",
    "subscribe",
    "watch",
]
