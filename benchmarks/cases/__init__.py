"""The cases: each module measures one promise and yields `Figure`s from `measure(options)`.

Their goals are those of issue 2, "What it must reach".
"""
