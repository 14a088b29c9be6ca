"""What a token is good for."""

import pytest

from everyitem.faces.http.security.scopes import Scope, scope_needed


@pytest.mark.parametrize(
    ("scope", "may"), [(Scope.READ, {"read"}), (Scope.RUN, {"read", "run"}), (Scope.ADMIN, {*Scope})]
)
def test_each_scope_includes_those_before_it(scope, may):
    """Who may run may read, who administers may do both."""
    assert {other for other in Scope if scope.includes(other)} == may


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "BREW", "post", ""])
def test_what_is_no_known_way_to_read_takes_the_scope_to_run(method):
    """A method nobody has thought of changes something until shown otherwise."""
    assert scope_needed(method, "/v1/batches/x") is Scope.RUN


@pytest.mark.parametrize("path", ["/v1/tokens", "/v1/tokens/abc", "/v1/tokens/"])
def test_tokens_are_for_administrators_to_look_at_too(path):
    """Even listing them."""
    assert scope_needed("GET", path) is Scope.ADMIN
    assert scope_needed("GET", "/v1/tokensX") is Scope.READ
