"""A service in a process of its own, without a face: what the tests kill.

`python service_process.py STORE PROCESSORS LOGS` says `up` when it has started and drains on SIGTERM.
"""

import logging
import signal
import sys
import threading

from everyitem.faces.service.service import Service


def main(store: str, processors: str, logs: str) -> None:
    """Serve until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    service = Service.connect(store, processors=[processors], logs=logs)
    service.start()
    print("up", flush=True)
    asked.wait()
    service.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
