"""Kafka from the Maven repository: fetched once, kept in the user's cache."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.services.debian import need

#: One that still reads the metadata of clusters of the last years, and runs on Java 11 and later.
_VERSION = "3.9.1"
_PROJECT = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>everyitem</groupId><artifactId>tests</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{_VERSION}</version></dependency>
  </dependencies>
</project>
"""


def kafka_libraries() -> Path:
    """The folder with Kafka and everything it needs (46 MB); a laptop without it skips the test."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "everyitem-tests"
    libraries = cache / f"kafka-{_VERSION}"
    if libraries.exists():
        return libraries
    if "CI" not in os.environ:
        pytest.skip(f"no Kafka here: CI=1 in the environment has it fetched into {libraries}")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        # two workers of one test run would get into each other's way
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not libraries.exists():
            _fetch(cache / "fetching", libraries)
    return libraries


def _fetch(folder: Path, libraries: Path) -> None:
    maven = need("mvn", packages=("maven",))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "pom.xml").write_text(_PROJECT)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=libraries"]
    done = subprocess.run([maven, "-q", "-B", *goal], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Maven could not fetch Kafka: {(done.stdout + done.stderr)[-2000:]}")
    (folder / "libraries").rename(libraries)
