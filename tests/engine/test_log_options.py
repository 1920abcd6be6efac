"""`--log-opt` as values: what is refused, and what each line of a log carries."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from tests.api.samples import CREATED

from firkin.engine import log_options
from firkin.errors import Invalid
from firkin.model import Container, HostConfig, LogConfig


@pytest.mark.parametrize(("options", "words"), [
    ({"bogus": "1"}, "unknown log opt 'bogus' for json-file log driver"),
    ({"tag": "{{.Bogus}}"}, "can't evaluate field Bogus"),
    ({"tag": "x{{.ID"}, "can only be a field"),
    ({"tag": "{{upper .Name}}"}, "can only be a field"),
    ({"labels-regex": "("}, "invalid log opt labels-regex: error parsing regexp"),
    ({"env-regex": "["}, "invalid log opt env-regex: error parsing regexp"),
    ({"compress": "yes"}, "neither true nor false"),
    ({"compress": "true"}, "max-file is less than 2 or max-size is not set"),
    ({"compress": "true", "max-size": "1k"}, "max-file is less than 2 or max-size is not set"),
    ({"mode": "fast"}, "logging mode not supported: fast"),
    ({"max-buffer-size": "1m"}, "only supported with 'mode=non-blocking'"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        log_options.check(LogConfig("json-file", options))


def test_drivers_have_options_of_their_own() -> None:
    log_options.check(LogConfig("local", {"compress": "true", "max-size": "1k", "max-file": "2"}))
    log_options.check(LogConfig("json-file", {"mode": "non-blocking", "max-buffer-size": "1m", "tag": "{{ .Name }}"}))
    with pytest.raises(Invalid, match="unknown log opt 'tag' for local"):
        log_options.check(LogConfig("local", {"tag": "x"}))
    with pytest.raises(Invalid, match="no log driver named 'syslog'"):
        log_options.check(LogConfig("syslog", {}))


def logged(**options: str) -> Container:
    config = replace(CREATED.config, labels={"who": "me", "where": "<&>"}, env=("NAME=x", "NOTE=a=b"), image="app:1")
    chosen = {name.replace("_", "-"): value for name, value in options.items()}
    return replace(CREATED, config=config, host=HostConfig(log_config=LogConfig("json-file", chosen)), name="box")


def test_labels_and_variables_are_chosen_by_name_and_by_pattern() -> None:
    assert log_options.attributes(logged()) == log_options.attributes(logged(labels="none,", env_regex="^x")) == ""
    assert log_options.attributes(logged(labels="who,none")) == '{"who":"me"}'
    assert log_options.attributes(logged(labels_regex="er")) == '{"where":"\\u003c\\u0026\\u003e"}'
    assert log_options.attributes(logged(env="NAME", env_regex="^NO")) == '{"NAME":"x","NOTE":"a=b"}'


def test_a_tag_is_made_of_fields() -> None:
    tag = json.loads(log_options.attributes(logged(tag="{{.Name}} {{ .ImageName }} {{.ID}} {{.Hostname}} }}")))["tag"]
    assert tag == f"box app:1 {CREATED.id[:12]} {os.uname().nodename} }}}}"
    for field in log_options._FIELDS:
        log_options.check(LogConfig("json-file", {"tag": f"{{{{.{field}}}}}"}))
        assert json.loads(log_options.attributes(logged(tag=f"{{{{.{field}}}}}")))["tag"]
