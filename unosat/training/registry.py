"""Model files in the store, and the rows that say what they are."""

import logging
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from django.db import IntegrityError, transaction

from detection import weights
from detection.detector import ModelSpec
from detection.errors import ModelUnavailable
from unosat.ops import store
from unosat.training.errors import VersionDamaged
from unosat.training.models import ModelVersion

log = logging.getLogger(__name__)
FILES = (weights.WEIGHTS, weights.CARD)


def sync_shipped_models() -> list[ModelVersion]:
    """Make the models that came with the project known; each is active if none of its kind is.

    Safe to call at every start and from several processes. Files are copied into the store, so
    that an Assessment keeps its model when a later release ships another.

    Raises:
        ModelUnavailable: a shipped model is damaged.
    """
    folders = sorted(card.parent for card in weights.SHIPPED.glob(f"*/{weights.CARD}"))
    folders.sort(key=lambda folder: folder.name != weights.DEFAULT_MODEL)
    versions = [_sync(folder) for folder in folders]
    for version in versions:
        _activate_if_none_is(version)
    return versions


def adopt(folder: Path) -> tuple[ModelSpec, str]:
    """Copy a model folder into the store, unless it is there.

    Returns:
        What the card says, and the folder's key in the store.

    Raises:
        ModelUnavailable: card and weights do not belong together.
    """
    spec = weights.verify(folder)
    key = f"models/{spec.sha256}"
    if not _is_whole(key, spec):
        store.remove(key)
        with store.scratch() as work:
            draft = work / "model"
            draft.mkdir()
            for file in FILES:
                shutil.copyfile(folder / file, draft / file)
            store.put_folder(draft, key, last=weights.CARD)
    return spec, key


def describe(folder: Path, key: str, spec: ModelSpec) -> ModelVersion:
    """An unsaved row for a model folder that ``adopt`` took in."""
    return ModelVersion(
        name=spec.name,
        version=spec.version,
        sha256=spec.sha256,
        input_kind=spec.input_kind,
        folder=key,
        card=weights.read_card(folder),
    )


def files_of(version: ModelVersion) -> AbstractContextManager[Path]:
    """A version's files on this machine's disk, to read while the block runs."""
    return store.local_folder(version.folder)


def check_card(version: ModelVersion) -> ModelSpec:
    """What the card says; the weights are not opened.

    Raises:
        VersionDamaged: it is missing, or names other weights than recorded.
    """
    try:
        with store.local(f"{version.folder}/{weights.CARD}") as card:
            spec = weights.read_spec(card.parent)
    except (ModelUnavailable, FileNotFoundError) as error:
        raise VersionDamaged(str(error)) from error
    if spec.sha256 != version.sha256:
        raise VersionDamaged(f"{version}: other files than recorded")
    return spec


def check_files(version: ModelVersion) -> ModelSpec:
    """What the card says, once the files are known to be the ones recorded.

    Raises:
        VersionDamaged: they are not.
    """
    try:
        with files_of(version) as folder:
            weights.verify(folder)
    except ModelUnavailable as error:
        raise VersionDamaged(str(error)) from error
    return check_card(version)


def _sync(folder: Path) -> ModelVersion:
    spec, key = adopt(folder)
    known = ModelVersion.objects.filter(sha256=spec.sha256).first()
    if known:
        _refresh_card(known, folder)
        return known
    row = describe(folder, key, spec)
    if ModelVersion.objects.filter(name=spec.name, version=spec.version).exists():
        row.version = f"{spec.version}+{spec.sha256[:8]}"  # the maker forgot to count up
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        return ModelVersion.objects.get(sha256=spec.sha256)  # another process was faster
    log.info("model installed", extra={"version": str(row)})
    return row


def _refresh_card(version: ModelVersion, folder: Path) -> None:
    """A release may say more of the same weights, such as how they scored."""
    card = weights.read_card(folder)
    if card != version.card:
        with store.writing(f"{version.folder}/{weights.CARD}") as path:
            shutil.copy(folder / weights.CARD, path)
        version.card = card
        version.save(update_fields=["card"])


def _activate_if_none_is(version: ModelVersion) -> None:
    try:
        with transaction.atomic():
            active = ModelVersion.objects.filter(input_kind=version.input_kind, active=True)
            if not active.exists():
                ModelVersion.objects.filter(pk=version.pk).update(active=True)
                version.active = True
    except IntegrityError:
        version.active = False  # another process was faster


def _is_whole(key: str, spec: ModelSpec) -> bool:
    try:
        with store.local_folder(key) as folder:
            return weights.verify(folder).sha256 == spec.sha256
    except ModelUnavailable:
        return False
