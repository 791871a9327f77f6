"""Verified files by digest, and variant folders made of hard links to them. Owned by the fetch lane."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from argosy.protocol.card import CARD_FILE, Card, FileRef
from argosy.protocol.codec import from_json
from argosy.protocol.desired import SlotContent
from argosy_agent.folder import StateFolder, sync_folder, write_atomically

_CHUNK = 1 << 20
#: Written into a variant's folder after everything else: what was verified against TUF.
MANIFEST = ".verified.json"
_FILE_MODE = 0o400


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Which files a variant's folder holds, as the signed metadata had them."""

    files: list[FileRef]


def file_digest(path: Path) -> tuple[str, int]:
    """sha256 and length of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest, length = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            length += len(chunk)
    return digest.hexdigest(), length


class Store:
    """The store of one STATE folder."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        """Where the file with this digest lies, if it is here."""
        return self._folder.store / sha256

    def has(self, ref: FileRef) -> bool:
        """Whether the file is here and intact; one that rotted is removed, so it will be fetched again."""
        path = self.path(ref.sha256)
        if not path.is_file():
            return False
        if file_digest(path) == (ref.sha256, ref.length):
            return True
        path.unlink(missing_ok=True)
        return False

    def take(self, source: Path, ref: FileRef) -> bool:
        """Moves a complete download in if it is the file that was signed, else removes it.

        Returns:
            Whether it was.
        """
        if file_digest(source) != (ref.sha256, ref.length):
            source.unlink(missing_ok=True)
            return False
        source.chmod(_FILE_MODE)
        with source.open("rb") as file:
            os.fsync(file.fileno())
        source.replace(self.path(ref.sha256))
        sync_folder(self._folder.store)
        return True

    def assemble(self, card: Card, files: Iterable[FileRef]) -> Path:
        """Makes the variant's folder out of files that are in the store; complete or not there at all."""
        files = list(files)
        final = self._folder.variant(card.model, card.version, card.variant)
        building = final.with_name(f".{final.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(mode=0o700)
        for ref in files:
            os.link(self.path(ref.sha256), building / ref.name)
        write_atomically(building / MANIFEST, msgspec.json.encode(Manifest(files=files)))
        shutil.rmtree(final, ignore_errors=True)
        building.rename(final)
        sync_folder(self._folder.variants)
        return final

    def held(self, content: SlotContent) -> Card | None:
        """The card of a variant whose folder is here and intact, bit for bit; None otherwise.

        This is how an update goes on after a restart without the network, also when the metadata has expired since.
        """
        folder = self._folder.variant(content.model, content.version, content.variant)
        try:
            manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
            card = from_json(Card, (folder / CARD_FILE).read_bytes())
            intact = all(file_digest(folder / ref.name) == (ref.sha256, ref.length) for ref in manifest.files)
        except (OSError, ValueError, msgspec.DecodeError):
            return None
        wanted = (content.sha256, content.length) == (card.model_file.sha256, card.model_file.length)
        return card if intact and wanted else None

    def tidy(self, keep: Iterable[SlotContent], *, partials: bool) -> None:
        """Removes variant folders that are not among `keep`, then files that no folder links to, and downloads that broke off.

        Args:
            partials: also remove partial downloads, because no update is under way that would resume them.
        """
        kept = {self._folder.variant(c.model, c.version, c.variant).name for c in keep}
        for folder in self._folder.variants.iterdir():
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)
        for path in self._folder.store.iterdir():
            if path.is_file() and path.stat().st_nlink == 1:
                path.unlink(missing_ok=True)
        for path in self._folder.partial.iterdir() if partials else ():
            path.unlink(missing_ok=True)
