"""SIGHUP: the settings that a running engine takes from its file again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.lab import Engine, Lab, wait_until


@pytest.fixture(scope="module")
def reloading() -> Iterator[tuple[Engine, Path]]:
    lab = Lab()
    try:
        settings = lab.dir / "daemon.json"
        settings.write_text(json.dumps({"labels": ["a=b"], "default-shm-size": 1 << 20}))
        yield Engine(lab, "engine", "--config-file", str(settings), "--log-opt", "max-size=1m").start(), settings
    finally:
        lab.close()


def info(engine: Engine) -> dict:
    return engine.api().call("GET", "/info")[1]


def events(engine: Engine, *filters: str) -> list[dict]:
    argv = ["events", "--since", "1", "--until", "0s", "--format", "{{json .}}"]
    for one in filters:
        argv += ["-f", one]
    return [json.loads(line) for line in engine.firkin(*argv).stdout.splitlines()]


def hang_up(engine: Engine, settings: Path, text: str, said: str) -> None:
    settings.write_text(text)
    before = engine.log().count(said)
    assert engine.process
    os.kill(engine.process.pid, signal.SIGHUP)
    wait_until(lambda: engine.log().count(said) > before, explain=engine.log)


def test_what_can_change_changes_and_is_told(reloading: tuple[Engine, Path]) -> None:
    engine, settings = reloading
    new = {"labels": ["c=d", "e"], "debug": True, "insecure-registries": ["example.com:5000"], "default-shm-size": 5 << 20}
    hang_up(engine, settings, json.dumps(new), "the configuration is reloaded")
    now = info(engine)
    assert now["Labels"] == ["c=d", "e"] and now["Debug"] is True
    assert now["RegistryConfig"]["IndexConfigs"]["example.com:5000"]["Secure"] is False
    (told,) = events(engine)
    assert (told["Type"], told["Action"], told["Actor"]["ID"]) == ("daemon", "reload", now["ID"])
    said = told["Actor"]["Attributes"]
    assert said["labels"] == '["c=d","e"]' and said["debug"] == "true" and said["max-concurrent-downloads"] == "3"
    assert said["name"] == now["Name"] and said["insecure-registries"] == '["example.com:5000"]'
    assert "default-shm-size" not in said


def test_it_is_found_by_its_name_and_id(reloading: tuple[Engine, Path]) -> None:
    engine, _ = reloading
    now, all_of_them = info(engine), events(engine)
    for fits in ("type=daemon", f"daemon={now['Name']}", f"daemon={now['ID']}", "event=reload"):
        assert events(engine, fits) == all_of_them != []
    assert events(engine, "daemon=another") == events(engine, "type=image") == []


@pytest.mark.parametrize("text", ["{", '{"labels": "a"}', '{"bogus": 1}'])
def test_a_file_that_is_wrong_changes_nothing(reloading: tuple[Engine, Path], text: str) -> None:
    engine, settings = reloading
    before = info(engine)["Labels"], len(events(engine))
    hang_up(engine, settings, text, "reload the configuration: ")
    assert (info(engine)["Labels"], len(events(engine))) == before
