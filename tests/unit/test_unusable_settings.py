"""What is said of settings that cannot be used: where, what, what there would be instead, and no secret."""

import pytest

from everyitem.model.errors import UsageError
from everyitem.settings import load_settings

PUBLISHERS = "'cyoda', 'kafka', 'nats', 'rabbitmq', 'redis', 'webhook'"


def refusal(tmp_path, text: str) -> str:
    """What is said of a configuration file."""
    path = tmp_path / "everyitem.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        load_settings(str(path))
    return str(refused.value).replace(f"{path}: ", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('defaultParallelism = "five"', "defaultParallelism: must be a whole number; found 'five'"),
        ("defaultParallelism = 0", "defaultParallelism: must be at least 1; found 0"),
        ("timeoutHours = -1", "timeoutHours: must be greater than 0; found -1"),
        ('environment = "prod"', "environment: must be one of 'production' or 'development'; found 'prod'"),
        (
            '[events]\npublisher = "webhok"',
            f"events: publisher: must be one of {PUBLISHERS}; found 'webhok'",
        ),
        (
            "[events]\ntimeoutSecond = 3",
            "events: there is no setting `timeoutSecond`; did you mean `timeoutSeconds`?",
        ),
        ("[events]\nbatchSize = 0", "events: batchSize: Expected `int` >= 1"),
        (
            '[alerts.channels.ops]\nkind = "webhok"\n',
            "alerts: channels[...].kind: must be one of 'apprise', 'log', 'smtp', 'webhook'; found 'webhok'",
        ),
        (
            '[alerts.channels.ops]\nkind = "webhook"\nurll = "x"\n',
            "alerts: channels[...]: there is no setting `urll`; did you mean `url`?",
        ),
        ("[alerts.limits]\nzz = 1\n", "alerts: limits: there is no setting `zz`"),
    ],
)
def test_it_says_what_there_would_be_instead(tmp_path, text, said):
    """In the words that documents are refused with."""
    assert refusal(tmp_path, text) == said


@pytest.mark.parametrize(
    "text",
    [
        '[events]\npublisher = "nats"\nurl = "nats://me:canary@host:4222"\ntimeoutSecond = 3\n',
        '[events]\npublisher = "webhok"\nurl = "https://host/canary"\n',
        '[alerts.channels.ops]\nkind = "webhook"\nurl = "https://host/canary"\nx = 1\n',
        '[clusters.night]\nkind = "local"\nworkers = 0\n[clusters.night.options]\npassword = "canary"\n',
    ],
)
def test_a_table_is_never_shown(tmp_path, text):
    """Something else may be wrong in it than its URL, which may hold a password."""
    assert "canary" not in refusal(tmp_path, text)
