"""What installed packages add to wean, through their entry points."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Any

from wean.errors import UsageError


@dataclass(frozen=True)
class Plugin:
    """One entry point of an installed package.

    Attributes:
        name: The name that the package claims.
        package: The package's name.
        value: Where the object is, `module:attribute`.
    """

    name: str
    package: str
    value: str
    group: str

    def load(self) -> Any:
        """Imports the object.

        Raises:
            UsageError: If the package's code cannot be imported, in one line that names the package.
        """
        try:
            return metadata.EntryPoint(self.name, self.value, self.group).load()
        except Exception as error:  # the package's own code may fail in any way
            told = " ".join(f"{type(error).__name__}: {error}".split())
            raise UsageError(
                f"{self.name!r} of the package {self.package} cannot be imported ({told}); repair or uninstall it"
            ) from None


def entry_points(group: str) -> dict[str, Plugin]:
    """The entry points of a group by name, e.g. of `wean.tasks`; nothing is imported.

    Raises:
        UsageError: If two packages claim the same name.
    """
    found: dict[str, Plugin] = {}
    for point in metadata.entry_points(group=group):
        package = point.dist.name if point.dist is not None else point.module
        plugin = Plugin(point.name, package, point.value, group)
        other = found.setdefault(point.name, plugin)
        if other.package != plugin.package:
            both = f"{other.package} and {package}"
            raise UsageError(f"the packages {both} both claim {point.name!r} in {group}; uninstall one of them")
    return found
