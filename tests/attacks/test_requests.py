"""Requests that are made to be expensive, and answers about what is no text."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import pytest

from tests.attacks.rig import IMAGE, Rig
from tests.lab import wait_until

EXPENSIVE = {
    "for ever": "(a+)+$",
    "longer than polynomials": "(a|aa)*(a|aa)*(a|aa)*$",
    "deep": "(" * 3000 + ")" * 3000,
    "many": "|".join(f"{number}a*" for number in range(6000)),
}


@pytest.mark.parametrize("pattern", EXPENSIVE.values(), ids=EXPENSIVE)
def test_patterns_that_take_for_ever(rig: Rig, pattern: str) -> None:
    """A name is looked for by a regular expression of the client's."""
    with rig.held("--name", "a" * 100 + "_", IMAGE, "sleep", "1000"):
        began = time.monotonic()
        status, _ = rig.engine.api().call("GET", f"/containers/json?filters={quote(json.dumps({'name': [pattern]}))}")
        assert status in (200, 400) and rig.engine.api().call("GET", "/_ping")[0] == 200
        assert time.monotonic() - began < 20
    assert "Traceback" not in rig.engine.log()


def test_names_that_are_no_text(rig: Rig) -> None:
    """In headers, in JSON: a byte that no text has, and the end of a header's line."""
    script = r"""ln -s "$(printf '\377\r\nX-Evil: 1')" /link; touch "$(printf '/\377\r\nfile')"; echo ready; sleep 1000"""
    with rig.held(IMAGE, "sh", "-c", script) as container:
        wait_until(lambda: "ready" in rig.logs(container), 30)
        api = rig.engine.api()
        api.request("HEAD", f"/containers/{container}/archive?path=/link")
        answer = api.getresponse()
        answer.read()
        told = json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))
        assert answer.status == 200 and answer.headers["X-Evil"] is None and told["linkTarget"].endswith("?\r\nX-Evil: 1")
        status, changes = rig.engine.api().call("GET", f"/containers/{container}/changes")
        assert status == 200 and "/?\r\nfile" in [change["Path"] for change in changes]
