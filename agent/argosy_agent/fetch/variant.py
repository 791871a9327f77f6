"""A whole variant: card, model file and companions, each exactly as a publisher signed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuf.ngclient import TargetFile

from argosy.errors import InvalidInput
from argosy.matching import runtime_for
from argosy.protocol.card import CARD_FILE, MAX_CARD_BYTES, Card, FileRef, check_card, target_folder
from argosy.protocol.codec import from_json
from argosy.protocol.desired import SlotContent
from argosy.protocol.refusals import Refusal
from argosy.protocol.reported import Capabilities
from argosy.trust import Refused
from argosy_agent.fetch.download import Terms, download, free_bytes
from argosy_agent.fetch.metadata import Repository
from argosy_agent.folder import StateFolder
from argosy_agent.http import DeviceHttp
from argosy_agent.identity import Identity
from argosy_agent.store import Store

#: A plain file name: no folder, nothing hidden, so no companion can climb out or shadow our own files.


@dataclass(frozen=True)
class FetchedVariant:
    """A variant that lies verified in its folder below STATE/variants, and the runtime to prove it with."""

    folder: str
    runtime: str


class VariantFetcher:
    """Fetches variants for one device; used by one thread.

    Args:
        capabilities: decides before any large download whether the device could run the variant at all.
        margin_bytes: disk space to leave free.
    """

    def __init__(
        self,
        identity: Identity,
        folder: StateFolder,
        repository: Repository,
        http: DeviceHttp,
        capabilities: Capabilities,
        margin_bytes: int,
    ) -> None:
        self._targets_url = identity.enrolled.targets_url.rstrip("/")
        self._folder = folder
        self._store = Store(folder)
        self._repository = repository
        self._http = http
        self._capabilities = capabilities
        self._margin = margin_bytes

    def fetch(self, content: SlotContent, wanted: Callable[[], None], progress: Callable[[int, int], None]) -> FetchedVariant:
        """Brings the variant here, or finds it here intact.

        Args:
            wanted: raises Abandoned once it is not wanted any more.
            progress: called with bytes done and bytes in all.

        Raises:
            Refused: with a verdict about the artifact, or NO_SPACE, UNTRUSTED_METADATA.
            Unavailable: to be tried again.
            Abandoned: as `wanted` said.
        """
        card = self._store.held(content)
        if card is None:
            card = self._fetch(content, wanted, progress)
        name = self._folder.variant(content.model, content.version, content.variant).name
        return FetchedVariant(folder=name, runtime=choose_runtime(card, self._capabilities))

    def _fetch(self, content: SlotContent, wanted: Callable[[], None], progress: Callable[[int, int], None]) -> Card:
        base = target_folder(content.model, content.version, content.variant)
        card_ref = self._signed(base, [CARD_FILE])[0]
        if card_ref.length > MAX_CARD_BYTES:
            raise Refused(Refusal.WRONG_BYTES, f"the card has {card_ref.length} bytes, at most {MAX_CARD_BYTES} are read")
        quiet = Terms(self._margin, wanted, lambda _: None)
        self._bring(base, card_ref, quiet)
        card = read_card(self._store.path(card_ref.sha256).read_bytes(), content)
        choose_runtime(card, self._capabilities)
        files = self._agreed(base, card, content)
        missing = sum(ref.length for ref in files if not self._store.path(ref.sha256).exists())
        if (free := free_bytes(self._folder.store)) < missing + self._margin:
            raise Refused(Refusal.NO_SPACE, f"{missing + self._margin} bytes are needed, {free} are free")
        counter = _Counter(sum(ref.length for ref in files), progress)
        for ref in files:
            self._bring(base, ref, Terms(self._margin, wanted, counter.add))
        self._store.assemble(card, [card_ref, *files])
        return card

    def _agreed(self, base: str, card: Card, content: SlotContent) -> list[FileRef]:
        """The files of the card, each as TUF has it too; the model file as the desired document has it too."""
        listed = [card.model_file, *card.companions]
        signed = self._signed(base, [ref.name for ref in listed])
        for ours, theirs in zip(signed, listed, strict=True):
            if ours != theirs:
                raise Refused(Refusal.WRONG_BYTES, f"card and signed metadata disagree about {theirs.name}")
        if (signed[0].sha256, signed[0].length) != (content.sha256, content.length):
            raise Refused(Refusal.UNKNOWN_TARGET, f"{base}/{signed[0].name} was signed with other bytes than the document names")
        return signed

    def _signed(self, base: str, names: list[str]) -> list[FileRef]:
        paths = [f"{base}/{name}" for name in names]
        found = self._repository.find(paths)
        if None in found.values():  # what we hold may be older than the wish
            self._repository.refresh()
            found = self._repository.find(paths)
        return [_reference(path, found[path]) for path in paths]

    def _bring(self, base: str, ref: FileRef, terms: Terms) -> None:
        url = f"{self._targets_url}/{base}/{ref.sha256}.{ref.name}"
        download(self._http, url, ref, self._store, self._folder, terms)


class _Counter:
    def __init__(self, total: int, progress: Callable[[int, int], None]) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def add(self, count: int) -> None:
        self._done += count
        self._progress(min(self._done, self._total), self._total)


def _reference(path: str, target: TargetFile | None) -> FileRef:
    if target is None:
        raise Refused(Refusal.UNKNOWN_TARGET, path)
    digest = target.hashes.get("sha256")
    if digest is None:
        raise Refused(Refusal.UNTRUSTED_METADATA, f"{path} is signed without a sha256")
    return FileRef(name=path.rsplit("/", 1)[-1], sha256=digest, length=target.length)


def read_card(raw: bytes, content: SlotContent) -> Card:
    """The card, if it is of the variant that is wanted and names only plain files.

    Raises:
        Refused: WRONG_BYTES.
    """
    try:
        card = check_card(from_json(Card, raw))
    except InvalidInput as error:
        raise Refused(Refusal.WRONG_BYTES, str(error)) from error
    if (card.model, card.version, card.variant) != (content.model, content.version, content.variant):
        raise Refused(Refusal.WRONG_BYTES, "the card is of another variant")
    return card


def choose_runtime(card: Card, capabilities: Capabilities) -> str:
    """The first runtime of the device, in its order of preference, that runs the variant.

    Raises:
        Refused: NOT_RUNNABLE.
    """
    runtime, why = runtime_for(card, capabilities)
    if not runtime:
        here = ", ".join(one.name for one in capabilities.runtimes) or "none"
        raise Refused(Refusal.NOT_RUNNABLE, f"{card.variant}: {why} (runtimes here: {here})")
    return runtime
