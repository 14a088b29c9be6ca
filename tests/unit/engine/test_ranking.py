"""Rankings: always what sorting everything anew would say, whatever changes in between."""

from contextlib import closing
from itertools import islice

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from everyitem.engine.ranking import Ranking

NAMES = st.sampled_from("abcdefgh")
SCORES = st.none() | st.sampled_from([-1.0, 0.0, 1.0, 2.0, float("inf")])


class RankingModel(RuleBasedStateMachine):
    """Eight names against a dictionary that is sorted each time."""

    @initialize()
    def begin(self) -> None:
        self.scores: dict[str, float | None] = {}
        self.ranking = Ranking(lambda name: self.scores[name])

    @rule(name=NAMES, score=SCORES)
    def touch(self, name: str, score: float | None) -> None:
        """A name is new, or has another score."""
        self.scores[name] = score
        self.ranking.touch(name)

    @precondition(lambda self: self.scores)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        """A name goes; when it comes again it is the newest of its equals."""
        name = data.draw(st.sampled_from(sorted(self.scores)))
        del self.scores[name]
        self.ranking.forget(name)

    @rule(count=st.integers(0, 8), forgets=st.booleans())
    def walk(self, count: int, *, forgets: bool) -> None:
        """Whoever is served on the way may go; the walk goes on as it was."""
        expected = self.in_order()[:count]
        with closing(self.ranking.walk()) as names:
            for name in islice(names, count):
                assert name == expected.pop(0)
                if forgets:
                    del self.scores[name]
                    self.ranking.forget(name)
        assert not expected

    @rule(but=st.sets(NAMES))
    def best(self, but: set[str]) -> None:
        """The first one that is not excluded."""
        wanted = [name for name in self.in_order() if name not in but]
        assert self.ranking.best(but.__contains__) == (wanted[0] if wanted else None)

    def in_order(self) -> list[str]:
        scored = [(name, score) for name, score in self.scores.items() if score is not None]
        return [name for name, _ in sorted(scored, key=lambda one: -one[1])]

    @invariant()
    def names_are_in_the_order_they_came(self) -> None:
        assert list(self.ranking) == list(self.scores)
        assert len(self.ranking) == len(self.scores)


TestRankingModel = RankingModel.TestCase
TestRankingModel.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


def test_what_is_out_of_date_is_swept_up() -> None:
    """A score that changes for ever leaves no heap of old ones behind."""
    scores = {"a": 0.0, "b": -1.0}
    ranking = Ranking(scores.__getitem__)
    for name in scores:
        ranking.touch(name)
    for number in range(10_000):
        scores["b"] = -2.0 - number
        ranking.touch("b")
        assert ranking.best() == "a"
    assert len(ranking._heap) < 100
