"""The operator's settings: file, environment, overrides, presets, and where each came from."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic.alias_generators import to_camel

from everyitem.model.errors import UsageError
from everyitem.settings import Environment, Origin, Settings, load_settings
from everyitem.settings.loading import _Model, load


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Each test starts in a folder without a configuration file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_anything_the_specification_s_defaults_hold():
    """Section 9 of the specification."""
    settings = load_settings()
    assert (settings.max_batch_size, settings.default_parallelism) == (100_000, 5)
    assert (settings.checkpoint_interval, settings.max_retry_attempts) == (1000, 3)
    assert (settings.timeout_hours, settings.enable_checkpointing) == (4.0, True)
    assert settings == Settings()


def test_each_layer_wins_over_the_one_below(empty_folder, monkeypatch):
    """Override over environment over file over default, each with its origin."""
    (empty_folder / "everyitem.toml").write_text(
        "max_batch_size = 10\ndefault_parallelism = 3\ncheckpoint_interval = 7\n"
    )
    monkeypatch.setenv("EVERYITEM_DEFAULT_PARALLELISM", "4")
    monkeypatch.setenv("EVERYITEM_CHECKPOINT_INTERVAL", "8")
    settings = load_settings(checkpoint_interval=9, store=None)
    found = {
        name: (getattr(settings, name), settings.origin(name))
        for name in ("max_batch_size", "default_parallelism", "checkpoint_interval", "timeout_hours", "store")
    }
    assert found == {
        "max_batch_size": (10, Origin.FILE),
        "default_parallelism": (4, Origin.ENVIRONMENT),
        "checkpoint_interval": (9, Origin.CLI),
        "timeout_hours": (4.0, Origin.DEFAULT),
        "store": (None, Origin.DEFAULT),
    }


def test_names_may_be_written_as_in_documents(empty_folder):
    """camelCase is tolerated in the file."""
    (empty_folder / "everyitem.toml").write_text("maxBatchSize = 10\nmaxMemoryMb = 512\n")
    settings = load_settings()
    assert (settings.max_batch_size, settings.max_memory_mb) == (10, 512)


def test_development_means_smaller_batches_and_less_parallelism(empty_folder, monkeypatch):
    """The preset changes two values, each still to be set by itself."""
    (empty_folder / "everyitem.toml").write_text('environment = "development"\n')
    settings = load_settings()
    assert settings.environment is Environment.DEVELOPMENT
    assert (settings.max_batch_size, settings.default_parallelism) == (1000, 2)
    assert settings.origin("max_batch_size") is Origin.FILE
    monkeypatch.setenv("EVERYITEM_MAX_BATCH_SIZE", "5000")
    assert load_settings().max_batch_size == 5000
    monkeypatch.setenv("EVERYITEM_ENVIRONMENT", "production")
    assert load_settings().default_parallelism == 5


def test_processors_are_a_list_in_the_file_and_comma_separated_in_the_environment(empty_folder, monkeypatch):
    """Files named in the file are meant from its folder; modules stay names."""
    folder = empty_folder / "etc"
    folder.mkdir()
    (folder / "conf.toml").write_text('processors = ["mine.py", "package.module"]\n')
    assert load_settings(str(folder / "conf.toml")).processors == (str(folder / "mine.py"), "package.module")
    (folder / "conf.toml").write_text('processors = "mine.py, package.module"\n')
    assert load_settings(str(folder / "conf.toml")).processors == (str(folder / "mine.py"), "package.module")
    monkeypatch.setenv("EVERYITEM_PROCESSORS", "a.py, b")
    assert load_settings().processors == ("a.py", "b")


@pytest.mark.parametrize(
    "store", ["sqlite:///here.sqlite", "sqlite:////abs/here.sqlite", "postgresql://h/db"]
)
def test_a_store_in_the_file_is_meant_from_its_folder(empty_folder, store):
    """A relative SQLite path follows the file; everything else stands as written."""
    (empty_folder / "etc").mkdir()
    (empty_folder / "etc" / "conf.toml").write_text(f'store = "{store}"\n')
    found = load_settings(str(empty_folder / "etc" / "conf.toml")).store
    assert found == store.replace("///here", f"///{empty_folder}/etc/here")
    assert load_settings(store="sqlite:///x").store == "sqlite:///x"


def test_a_plain_path_is_a_store_in_the_file_too(empty_folder):
    """And meant from its folder; one in memory is none, wherever it is named."""
    (empty_folder / "conf.toml").write_text('store = "here.sqlite"\n')
    assert load_settings(str(empty_folder / "conf.toml")).store == f"sqlite:///{empty_folder}/here.sqlite"
    (empty_folder / "conf.toml").write_text('store = "sqlite:///:memory:"\n')
    assert load_settings(str(empty_folder / "conf.toml")).store == "sqlite:///:memory:"


def test_unknown_keys_are_a_warning_with_the_nearest_name(empty_folder):
    """A typo is said, and stops nothing."""
    (empty_folder / "everyitem.toml").write_text("max_batchsize = 10\ncolour = 'blue'\n")
    warnings = [str(warning) for warning in load_settings().warnings]
    assert warnings == [
        "everyitem.toml: unknown setting 'max_batchsize' is ignored; did you mean 'max_batch_size'?",
        "everyitem.toml: unknown setting 'colour' is ignored",
    ]


def test_all_unusable_values_are_named_with_where_they_stand(empty_folder, monkeypatch):
    """Every value nobody can use is said at once, with file or variable."""
    (empty_folder / "everyitem.toml").write_text("max_batch_size = 0\ntimeout_hours = nan\n")
    monkeypatch.setenv("EVERYITEM_CHECKPOINT_INTERVAL", "many")
    with pytest.raises(UsageError) as refused:
        load_settings()
    said = str(refused.value)
    assert "everyitem.toml: max_batch_size: " in said
    assert "everyitem.toml: timeout_hours: " in said
    assert "environment variable EVERYITEM_CHECKPOINT_INTERVAL: " in said


def test_a_named_file_must_be_there():
    """`--config` naming no file is a usage error; the default file may be absent."""
    with pytest.raises(UsageError, match=r"none\.toml: no such file"):
        load_settings("none.toml")


@pytest.mark.parametrize("content", [b"max_batch_size = \n", b"\xff"])
def test_a_file_that_is_no_toml_is_a_usage_error(empty_folder, content):
    """The file and the reason are said."""
    (empty_folder / "everyitem.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"everyitem\.toml: not valid TOML"):
        load_settings()


def test_a_folder_is_no_configuration_file(empty_folder):
    """What cannot be read is said."""
    with pytest.raises(UsageError, match="cannot be read"):
        load_settings(str(empty_folder))


def test_the_limits_and_defaults_are_the_same_in_both_descriptions():
    """The checked model and the frozen value agree on every name and default."""
    plain = Settings()
    for name, field in _Model.model_fields.items():
        assert getattr(plain, name) == field.default


def test_unknown_variables_are_a_warning_with_the_nearest_name(monkeypatch):
    """A typo in the environment is said like one in the file; our own variables are none."""
    for name in ("MAX_BATCHSIZE", "PARALLELISM", "COLOUR", "WORKER", "STORE"):
        monkeypatch.setenv(f"EVERYITEM_{name}", "1")
    assert [str(warning) for warning in load_settings().warnings] == [
        "environment: unknown variable 'EVERYITEM_COLOUR' is ignored",
        (
            "environment: unknown variable 'EVERYITEM_MAX_BATCHSIZE' is ignored; "
            "did you mean 'EVERYITEM_MAX_BATCH_SIZE'?"
        ),
        (
            "environment: unknown variable 'EVERYITEM_PARALLELISM' is ignored; "
            "did you mean 'EVERYITEM_DEFAULT_PARALLELISM'?"
        ),
    ]


def test_names_are_said_as_the_user_writes_them(empty_folder):
    """Who writes camelCase reads camelCase, in warnings and refusals alike."""
    file = empty_folder / "everyitem.toml"
    file.write_text("maxBatchSze = 10\n")
    assert [str(warning) for warning in load_settings().warnings] == [
        "everyitem.toml: unknown setting 'maxBatchSze' is ignored; did you mean 'maxBatchSize'?"
    ]
    file.write_text("maxBatchSize = 0\n")
    with pytest.raises(UsageError, match=r"^everyitem\.toml: maxBatchSize: "):
        load_settings()


def test_a_store_given_in_the_call_is_taken_as_it_stands():
    """With and without a look at a file or the environment the same settings come out."""
    settings = load_settings(store="sqlite:///x")
    assert (settings.store, settings.origin("store")) == ("sqlite:///x", Origin.CLI)
    assert settings == load(None, {"store": "sqlite:///x"})


@pytest.mark.parametrize("wrong", [{"store": ""}, {"store": 5}, {"max_batch_size": 0}])
def test_an_unusable_override_is_refused_wherever_settings_come_from(wrong):
    """No short way past the checks."""
    with pytest.raises(UsageError, match=next(iter(wrong))):
        load_settings(**wrong)


def test_nothing_is_loaded_where_nothing_is_configured(empty_folder):
    """Commands in a folder without a file and without variables start fast; pydantic takes its time."""
    code = (
        "import sys; from everyitem.settings import load_settings; "
        "load_settings(); load_settings(store='sqlite:///x'); "
        "assert not {'pydantic', 'pydantic_settings'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=empty_folder)


def test_the_page_gives_every_limit_as_it_is():
    """docs/batch-document.md lists all ceilings of the operator with their defaults."""
    page = (Path(__file__).parents[2] / "docs/batch-document.md").read_text(encoding="utf-8")
    limits = Settings()
    for name, default in {
        "maxBatchSize": f"{limits.max_batch_size:,}",
        "maxMemoryMb": f"{limits.max_memory_mb:,}",
        "maxSourceItems": "as `maxBatchSize`",
        "maxItemBytes": f"{limits.max_item_bytes >> 20} MiB",
        "maxEnvelopeBytes": f"{limits.max_envelope_bytes >> 20} MiB",
        "maxDocumentBytes": f"{limits.max_document_bytes >> 30} GiB",
        "maxDepth": str(limits.max_depth),
    }.items():
        assert re.search(rf"^\| `{name}` \|.*\| {default}[ ;]", page, re.MULTILINE), name


def test_the_page_names_every_setting():
    """A setting nobody can read about does not exist."""
    page = (Path(__file__).parents[2] / "docs/batch-document.md").read_text(encoding="utf-8")
    assert [name for name in _Model.model_fields if f"`{to_camel(name)}`" not in page] == []
