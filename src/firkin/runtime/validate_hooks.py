"""`hooks` of an OCI configuration. Part of `validate`.

Source: runtime-spec config.md "POSIX-platform Hooks".
"""

from __future__ import annotations

from firkin.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firkin.oci.runtime_config import Hook, Hooks


def validate(hooks: Hooks) -> None:
    for name, word in hooks.fields().items():
        for index, hook in enumerate(getattr(hooks, name)):
            _hook(f"hooks.{word}[{index}]", hook)


def _hook(field: str, hook: Hook) -> None:
    if not hook.path.startswith("/"):
        raise Invalid(f"{field}.path: must be an absolute path, got {hook.path!r}")
    if hook.timeout is not None and hook.timeout <= 0:
        raise Invalid(f"{field}.timeout: must be greater than zero, got {hook.timeout}")
    for word, texts in (("path", (hook.path,)), ("args", hook.args), ("env", hook.env)):
        if any("\0" in text for text in texts):
            raise Invalid(f"{field}.{word}: must not contain a zero byte")
    for index, entry in enumerate(hook.env):
        if "=" not in entry[1:]:
            raise Invalid(f"{field}.env[{index}]: want NAME=value, got {entry!r}")
