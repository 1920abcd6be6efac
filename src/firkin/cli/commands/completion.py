"""`firkin completion SHELL`: a script to source. It asks `firkin __complete WORDS...` for every list it shows."""

from __future__ import annotations

from firkin.cli import completion
from firkin.cli.command import Command
from firkin.cli.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.cli.command import Context
    from firkin.cli.flags import Options

# Bash splits words at colons, which image names hold: the line is split again here, and what stands before the last
# colon is taken off the answers, as bash expects.
BASH = r"""_firkin() {
    local line="${COMP_LINE:0:COMP_POINT}" IFS=$' \t\n'
    local -a words=($line)
    [[ $line == *[[:space:]] ]] && words+=("")
    local current="${words[${#words[@]}-1]}" IFS=$'\n'
    COMPREPLY=($("$1" __complete "${words[@]:1}" 2>/dev/null))
    [[ $current == *:* ]] && COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}")
    [[ ${#COMPREPLY[@]} -eq 1 && $COMPREPLY == *= ]] && compopt -o nospace
}
complete -o default -F _firkin firkin
"""

ZSH = r"""#compdef firkin
_firkin() {
    local -a found
    found=("${(@f)$(firkin __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n $found ]]; then compadd -a found; else _files; fi
}
compdef _firkin firkin
"""

FISH = r"""complete -c firkin -a '(firkin __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def script(context: Context, options: Options, arguments: list[str]) -> int:
    if arguments[0] not in SCRIPTS:
        raise Failure(f"unknown shell {arguments[0]}: one of {', '.join(SCRIPTS)}")
    print(SCRIPTS[arguments[0]], end="")
    return 0


def complete(context: Context, options: Options, words: list[str]) -> int:
    """Print what the last of `words` may become, one candidate a line."""
    for candidate in completion.candidates(words or [""], context):
        print(candidate)
    return 0


COMMANDS = {
    "completion": Command(script, "bash|zsh|fish", least=1, most=1),
    "__complete": Command(complete, "WORD...", most=None, passes_flags=True),
}
