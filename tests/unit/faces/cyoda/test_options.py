"""`[cyoda]`, `EVERYITEM_CYODA_…` and flags."""

import pytest

from everyitem.faces.cyoda.options import read_options
from everyitem.model.errors import UsageError
from everyitem.settings import Settings

FILE = {"endpoints": ["a:1"], "tls": True, "process-parameters": {"id-1": {"x": 1}}}


def test_names_may_be_written_with_dashes():
    """As everywhere in the file."""
    options = read_options(Settings(cyoda=FILE))
    assert options.process_parameters == {"id-1": {"x": 1}}


def test_flags_win_over_environment_and_environment_over_file(monkeypatch):
    """The order of every other setting."""
    monkeypatch.setenv("EVERYITEM_CYODA_TAG", "from-environment")
    monkeypatch.setenv("EVERYITEM_CYODA_ENDPOINTS", "b:1,c:2")
    options = read_options(Settings(cyoda={**FILE, "tag": "from-file"}), endpoints=["d:3"])
    assert (options.tag, options.endpoints) == ("from-environment", ("d:3",))


def test_a_plaintext_flag_takes_tls_of_the_file_back():
    """One of the two holds, and the flag says which."""
    assert read_options(Settings(cyoda=FILE), plaintext=True).plaintext


def test_paths_are_meant_from_the_files_folder():
    """Wherever the member is started."""
    settings = Settings(cyoda={**FILE, "source-folder": "items"}, file="/etc/everyitem/everyitem.toml")
    assert read_options(settings).source_folder == "/etc/everyitem/items"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "endpoints"),
        ({"endpoints": ["a:1"]}, "either plaintext or tls"),
        ({"endpoints": ["http://a:1"], "tls": True}, "endpoints"),
        ({"endpoints": ["a:1"], "plaintext": True, "ca": "x"}, "ca goes with tls only"),
        ({"endpoints": ["a:1"], "tls": True, "token_url": "https://t"}, "client-id"),
        ({"endpoints": ["a:1"], "tls": True, "token_url": "file:///etc/passwd"}, "token-url"),
        ({"endpoints": ["a:1"], "tls": True, "tags": "x"}, "tags"),
    ],
)
def test_what_cannot_be_used_is_named(given, named):
    """Unknown names included."""
    with pytest.raises(UsageError, match=named):
        read_options(Settings(cyoda=given))
