"""Single flight: one execution, one answer per request."""

from everyitem.faces.cyoda.flights import Boarding, Flights

KEY = ("tenant", "entity")


def test_the_second_dispatch_attaches_and_both_are_answered_newest_first():
    """The platform takes the answer to its newest request."""
    flights = Flights()
    assert flights.board(KEY, "f", 1) is Boarding.FIRST
    assert flights.board(KEY, "f", 2) is Boarding.ATTACHED
    assert flights.land(KEY) == [2, 1]


def test_other_inputs_are_not_the_same_flight():
    """And who brought them does not wait."""
    flights = Flights()
    flights.board(KEY, "f", 1)
    assert flights.board(KEY, "other", 2) is Boarding.DIFFERENT
    assert flights.land(KEY) == [1]


def test_a_lost_stream_takes_its_waiters_and_not_the_flight():
    """The execution goes on; the next dispatch attaches to it."""
    flights = Flights()
    flights.board(KEY, "f", 1)
    flights.leave(lambda waiter: waiter == 1)
    assert flights.board(KEY, "f", 2) is Boarding.ATTACHED
    assert flights.land(KEY) == [2]


def test_entities_of_two_tenants_are_two():
    """An entity id alone is not the key."""
    flights = Flights()
    flights.board(KEY, "f", 1)
    assert flights.board(("other", "entity"), "f", 2) is Boarding.FIRST


def test_after_landing_the_next_dispatch_is_a_flight_of_its_own():
    """Whether anything runs then is for the record to say."""
    flights = Flights()
    flights.board(KEY, "f", 1)
    flights.land(KEY)
    assert flights.land(KEY) == []
    assert flights.board(KEY, "f", 2) is Boarding.FIRST
