"""Static files that come with Python packages, and the storage that hashes every name."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):
    """Hashed names when collected; plain names in tests and while developing, where nothing is."""

    def stored_name(self, name: str) -> str:
        return super().stored_name(name) if self.hashed_files else name


class PackagedFilesFinder(BaseFinder):
    """Serves single files out of installed packages (plotly.js), without importing the package."""

    def __init__(self, app_names=None, *args, **kwargs) -> None:
        self.files: dict[str, Path] = {}
        for path, (package, inside) in settings.PACKAGED_STATIC_FILES.items():
            spec = importlib.util.find_spec(package)
            if spec is None or not spec.submodule_search_locations:
                raise FileNotFoundError(f"The package {package} is not installed.")
            self.files[path] = Path(spec.submodule_search_locations[0]) / inside

    def check(self, **kwargs) -> list:
        return []

    def find(self, path: str, find_all: bool = False, **kwargs):  # noqa: FBT001, FBT002 (Django's)
        found = self.files.get(path)
        if found is None:
            return []
        return [str(found)] if find_all else str(found)

    def list(self, ignore_patterns) -> Iterator[tuple[str, FileSystemStorage]]:
        for path, file in self.files.items():
            yield path, _Renamed(file)


class _Renamed(FileSystemStorage):
    """A storage with one file, which answers to whatever name collectstatic asks for."""

    prefix = ""

    def __init__(self, file: Path) -> None:
        super().__init__(location=file.parent)
        self.file = file

    def path(self, name: str) -> str:
        return str(self.file)
