"""The flag parser: docker's syntax, docker's messages."""

from __future__ import annotations

import pytest

from firkin.cli import kinds
from firkin.cli.errors import FlagError
from firkin.cli.flags import Flag, parse

FLAGS = (
    Flag("all", "a", "bool", ""),
    Flag("tty", "t", "bool", ""),
    Flag("env", "e", "list", ""),
    Flag("alias", "", "strings", ""),
    Flag("memory", "m", "bytes", ""),
    Flag("count", "n", "int", ""),
)


@pytest.mark.parametrize(
    ("words", "options", "arguments"),
    [
        (["x", "-a", "y"], {"all": True}, ["x", "y"]),
        (["-at", "x"], {"all": True, "tty": True}, ["x"]),
        (["-ate", "A=b", "x"], {"all": True, "tty": True, "env": ["A=b"]}, ["x"]),
        (["-eA=b", "-e", "C", "--env=D=", "--env", "E"], {"env": ["A=b", "C", "D=", "E"]}, []),
        (["-m64m"], {"memory": 64 << 20}, []),
        (["-n=3", "--count", "-4"], {"count": -4}, []),
        (["--all=false", "--tty=1"], {"all": False, "tty": True}, []),
        (["--alias", "a,b", "--alias=c"], {"alias": ["a", "b", "c"]}, []),
        (["-a", "--", "-t", "x"], {"all": True}, ["-t", "x"]),
        (["-"], {}, ["-"]),
    ],
)
def test_words_become_options_and_arguments(words: list[str], options: dict[str, object], arguments: list[str]) -> None:
    found, rest = parse(FLAGS, words, interspersed=True)
    assert (dict(found), rest) == (options, arguments)


def test_a_command_that_runs_another_stops_at_its_first_argument() -> None:
    options, arguments = parse(FLAGS, ["-a", "image", "ls", "-t", "--all"], interspersed=False)
    assert (dict(options), arguments) == ({"all": True}, ["image", "ls", "-t", "--all"])


def test_what_was_not_given_is_the_empty_value_of_its_kind() -> None:
    options, _ = parse(FLAGS, [], interspersed=True)
    assert [options[name] for name in ("all", "env", "memory", "count")] == [False, [], 0, 0]
    with pytest.raises(KeyError):
        options["nonsense"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--foo"], "unknown flag: --foo"),
        (["-ax"], "unknown shorthand flag: 'x' in -x"),
        (["--env"], "flag needs an argument: --env"),
        (["-ae"], "flag needs an argument: 'e' in -e"),
        (["-m", "lots"], 'invalid argument "lots" for "-m, --memory" flag: invalid size: \'lots\''),
        (["-m", "3z"], 'invalid argument "3z" for "-m, --memory" flag: invalid suffix: \'z\''),
        (["--all=maybe"], 'invalid argument "maybe" for "-a, --all" flag: strconv.ParseBool: parsing "maybe": invalid syntax'),
    ],
)
def test_mistakes_are_named_in_dockers_words(words: list[str], message: str) -> None:
    with pytest.raises(FlagError) as caught:
        parse(FLAGS, words, interspersed=True)
    assert (caught.value.message, caught.value.code) == (message, 125)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("512", 512), ("512b", 512), ("1k", 1024), ("1KB", 1024), ("1.5GiB", 3 << 29), ("2t", 2 << 40)],
)
def test_sizes(text: str, value: int) -> None:
    assert kinds.size(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("1s", 10**9), ("1m30s", 90 * 10**9), ("1.5h", 5400 * 10**9), ("250ms", 25 * 10**7)]
)
def test_durations(text: str, value: int) -> None:
    assert kinds.duration(text) == value


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "1.s.", "-"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="time: "):
        kinds.duration(text)


def test_cpus_are_exact() -> None:
    assert [kinds.cpus(text) for text in ("1", "0.5", ".000000001", "1.1")] == [10**9, 5 * 10**8, 1, 11 * 10**8]
    with pytest.raises(ValueError, match="too precise"):
        kinds.cpus("0.0000000001")
