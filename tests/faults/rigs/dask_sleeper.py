"""Sleeps; each call appends its item to a file, before and after."""

import os
import time

from everyitem import item_processor


def note(path, text):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, text.encode())
    os.close(file)


@item_processor("dask-sleeper")
def sleeper(item, context):
    notes = context.parameters["notes"]
    note(notes, f"+{item}\n")
    time.sleep(context.parameters["seconds"])
    note(notes, f"-{item}\n")
    return {"item": item, "square": item * item}
