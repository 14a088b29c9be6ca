"""Who settles items in doubt: a short-lived process of its own."""

from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Person:
    """`virtual_ownership.Process` for as long as one decision takes."""

    #: On the host of everybody else.
    here: bool
    name: str = "a person"
    is_dead: bool = False
