"""Clusters of the configuration: what the table may say, and how documents name them."""

import pytest

from everyitem.faces.documents.reader import read_document
from everyitem.model.clusters import ClusterSpec
from everyitem.model.errors import DocumentRefused, UsageError
from everyitem.settings import load_settings
from everyitem.settings.clusters import read_clusters

TABLE = """
[clusters.night]
kind = "local"
workers = 3
threads = 2
memory-mb = 500

[clusters.farm]
kind = "slurm"
minWorkers = 2
maxWorkers = 40
memory_mb = 1000
options = { queue = "long", job_extra_directives = ["--exclusive"] }
"""


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """As loaded from a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "everyitem.toml").write_text(TABLE)
    return load_settings()


def document(address, **node):
    nodes = [{"nodeId": "c", "kind": "dask", "address": address} | node]
    return {
        "batchId": "b",
        "batchItems": [1],
        "processingConfiguration": {"processor": "p"},
        "allocatedResources": {"nodes": nodes},
        "executionPlan": {},
    }


def test_the_table_describes_clusters_by_name(settings):
    """Our names as in documents or as in TOML; options belong to another project and stay as they are."""
    assert settings.clusters == {
        "night": ClusterSpec(kind="local", workers=3, threads=2, memory_mb=500),
        "farm": ClusterSpec(
            kind="slurm",
            min_workers=2,
            max_workers=40,
            memory_mb=1000,
            options={"queue": "long", "job_extra_directives": ["--exclusive"]},
        ),
    }


@pytest.mark.parametrize(
    ("cluster", "problem"),
    [
        ({"kind": "local"}, "x: say how many `workers`, or `maxWorkers`"),
        ({"kind": "local", "workers": 2, "maxWorkers": 4}, "x: either `workers`, or"),
        ({"kind": "local", "minWorkers": 5, "maxWorkers": 4}, "`minWorkers` must not be above"),
        ({"kind": "slurm", "workers": 2}, "x: SLURM reserves memory for each worker"),
        ({"kind": "ssh", "workers": 2}, "kind: must be one of 'kubernetes', 'local', 'slurm'; found 'ssh'"),
        ({"kind": "local", "workers": 0}, "x: workers: Expected `int` >= 1"),
        (
            {"kind": "local", "workers": 2, "wrokers": 1},
            "x: there is no setting `wrokers`; did you mean `workers`",
        ),
        ({"kind": "local", "workers": 2, "options": []}, "x: `options` must be a table"),
        ("local", "x: must be a table"),
    ],
)
def test_what_cannot_be_started_is_refused_when_settings_are_read(cluster, problem):
    """By the cluster's name, before any batch meets it."""
    with pytest.raises(ValueError, match=problem):
        read_clusters({"x": cluster})


def test_the_environment_may_describe_them_as_json(monkeypatch, tmp_path):
    """And is refused where it is none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVERYITEM_CLUSTERS", '{"n": {"kind": "local", "workers": 2}}')
    assert load_settings().clusters == {"n": ClusterSpec(kind="local", workers=2)}
    monkeypatch.setenv("EVERYITEM_CLUSTERS", "{")
    with pytest.raises(UsageError, match=r"EVERYITEM_CLUSTERS.*not valid JSON"):
        load_settings()


def test_a_node_that_names_a_cluster_has_its_slots(settings):
    """As many as all its workers have threads; the document may say another number."""
    (node,) = read_document(document("cluster:night"), settings=settings).batch.resources.nodes
    assert node.slots == 6
    (node,) = read_document(document("cluster:farm", slots=7), settings=settings).batch.resources.nodes
    assert node.slots == 7


def test_only_a_node_of_kind_dask_has_a_clusters_slots(settings):
    """A thread node with such an address is warned about, and gets one slot as any other."""
    read = read_document(document("cluster:night", kind="thread"), settings=settings).batch
    assert read.resources.nodes[0].slots == 1
    assert any("only nodes of kind dask have an address" in str(warning) for warning in read.warnings)


def test_a_cluster_nobody_configured_is_refused(settings):
    """With its path, and with those that are known."""
    with pytest.raises(DocumentRefused) as refused:
        read_document(document("cluster:day"), settings=settings)
    (problem,) = refused.value.problems
    assert problem.path == "$.allocatedResources.nodes[0].address"
    assert problem.message == "the configuration has no cluster 'day' in [clusters]; known: farm, night"
