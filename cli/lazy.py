"""A group that imports the module of a command only when the command is needed."""

from collections.abc import Callable
from typing import Any

import click


class LazyGroup(click.Group):
    """A group whose commands may be loaded by name. A command that does not run is not imported."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loaders: dict[str, Callable[[], click.Command]] = {}

    def add_lazily(self, name: str, load: Callable[[], click.Command]) -> None:
        """Add the command `name`, which `load` returns when it is first needed."""
        self._loaders[name] = load

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *self._loaders})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands and cmd_name in self._loaders:
            self.add_command(self._loaders[cmd_name](), cmd_name)
        elif cmd_name not in self.commands:
            # click suggests names that are similar to a mistyped one, from the loaded commands.
            self.children()
        return super().get_command(ctx, cmd_name)

    def child(self, name: str) -> click.Command:
        """The command `name`, loaded if necessary. Raises KeyError."""
        found = self.get_command(click.Context(self), name)
        if found is None:
            raise KeyError(name)
        return found

    def children(self) -> dict[str, click.Command]:
        """Every command of the group by name. It imports all of their modules."""
        return {name: self.child(name) for name in self.list_commands(click.Context(self))}
